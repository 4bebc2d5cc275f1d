"""Times that make no sense are refused before Kafka is asked, and the two readers take the same arguments."""

from __future__ import annotations

import datetime as dt
import inspect
import time
from typing import Any

import pytest

import ibfeed
from ibfeed import reader

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize("make", [ibfeed.read, ibfeed.aread])
@pytest.mark.parametrize(
    ("times", "text"),
    [
        ({"start": NOON.replace(tzinfo=None)}, "start=2026-11-21T12:00:00 has no time zone"),
        ({"until": NOON.replace(tzinfo=None)}, "until=2026-11-21T12:00:00 has no time zone"),
        ({"start": NOON, "until": NOON - dt.timedelta(hours=1)}, "is before start="),
    ],
)
def test_times_that_make_no_sense_are_refused(make: Any, times: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make("127.0.0.1:1", **times)


def test_both_readers_take_the_same_arguments() -> None:
    assert inspect.signature(ibfeed.read).parameters == inspect.signature(ibfeed.aread).parameters


def test_every_error_is_an_error_of_the_package() -> None:
    errors = [getattr(ibfeed, name) for name in ibfeed.__all__ if name.endswith("Error")]
    assert len(errors) == 14
    assert all(issubclass(error, ibfeed.Error) for error in errors)


def test_record_of_the_present_millisecond_was_written_by_now() -> None:
    before = time.time_ns() // 1_000_000
    settings = reader._settings("", ibfeed.Topics(), dt.timedelta(hours=1), "now", None, None)
    assert settings.until_ms is not None
    assert before < settings.until_ms
    assert settings.start_ms is not None
    assert settings.until_ms - settings.start_ms == 3_600_001


def test_time_that_is_given_is_the_first_that_is_not_read() -> None:
    settings = reader._settings("", ibfeed.Topics(), None, NOON, None, None)
    assert (settings.start_ms, settings.until_ms) == (None, int(NOON.timestamp() * 1000))
