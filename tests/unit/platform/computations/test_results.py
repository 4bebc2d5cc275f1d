from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from ibfeed_platform.computations.results import ResultError, text_of, updates_of
from ibfeed_platform.hot_store.keys import Keys

KEYS = Keys("energy")


def test_a_row_becomes_a_hash_of_the_teams() -> None:
    (update,) = updates_of([{"key": "CLZ6-CLF7", "spread": Decimal("0.650000000"), "bid": None}], KEYS, "power", "x", 5)
    assert update.key == "ibfeed:energy:team:power:x:CLZ6-CLF7"
    assert dict(update.fields) == {"key": "CLZ6-CLF7", "spread": "0.65", "epoch": "0", "seq": "5"}
    assert (update.seq, update.event_ms) == (5, 5)


@pytest.mark.parametrize("keys", [[None], [""], ["a", "a"]])
def test_rows_that_cannot_be_told_apart_are_refused(keys: list[str | None]) -> None:
    with pytest.raises(ResultError):
        updates_of([{"key": key} for key in keys], KEYS, "power", "x", 5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("100"), "100"),
        (Decimal("-0.500"), "-0.5"),
        (Decimal("1E+3"), "1000"),
        (True, "true"),
        (0.25, "0.25"),
        (dt.date(2026, 11, 27), "2026-11-27"),
    ],
)
def test_values_become_texts(value: object, text: str) -> None:
    assert text_of(value) == text
