"""The report of a sink's process, from its processor's progress."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.sink import MAX_ERROR, PodReport, SinkState
from ibfeed_platform.sinks.progress import Progress
from ibfeed_platform.sinks.report import WINDOW_S, LatencyWindow, Work, picked, pod_report, report_patch

STARTED = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 27, 12, 0, 10, 500_000, tzinfo=UTC)


def progress(**more: Any) -> Progress:
    told: dict[str, Any] = {
        "rows": 7,
        "lag": 2,
        "last_event_ms": 1_795_780_809_000,
        "last_write_ms": 1_795_780_809_400,
        "latencies_ms": (400.0,),
        "error": None,
    }
    return Progress(**told | more)


def told(work: Work, p99_ms: int | None = 400) -> PodReport:
    return pod_report(work, p99_ms=p99_ms, started=STARTED, now=NOW)


def test_a_report_has_times_of_one_form() -> None:
    report = told(Work(progress=progress()))
    assert report.reported_at == "2026-11-27T12:00:10.500Z"
    assert report.last_write_time == "2026-11-27T12:00:09.400Z"
    assert (report.rows, report.lag, report.state) == (7, 2, SinkState.WRITING)


@pytest.mark.parametrize(
    ("work", "state", "error"),
    [
        (Work(), SinkState.STARTING, ""),
        (Work(progress=progress(last_write_ms=None)), SinkState.STARTING, ""),
        (Work(progress=progress(error="Redis is away")), SinkState.RETRYING, "Redis is away"),
        (Work(progress=progress(), refusal="wrong password"), SinkState.REFUSED, "wrong password"),
    ],
)
def test_a_state_is_no_better_than_what_is_known(work: Work, state: SinkState, error: str) -> None:
    assert (told(work).state, told(work).error) == (state, error)


def test_rows_of_former_processors_count() -> None:
    assert told(Work(progress=progress(), earlier_rows=100)).rows == 107


def test_records_that_were_left_out_stay_told_after_a_refusal() -> None:
    work = Work(progress=progress(unreadable=2, unreadable_cause="no JSON")).ended("wrong password")
    assert (told(work).unreadable, told(work).unreadable_cause, told(work).rows) == (2, "no JSON", 7)
    later = replace(work, progress=progress(unreadable=1, unreadable_cause="no header"), refusal="")
    assert (told(later).unreadable, told(later).unreadable_cause, told(later).state) == (
        *(3, "no header", SinkState.WRITING),
    )


def test_a_long_error_is_cut() -> None:
    assert len(told(Work(refusal="x" * 5000)).error) == MAX_ERROR


def test_a_patch_has_only_what_changed() -> None:
    first = told(Work(progress=progress()))
    later = pod_report(
        Work(progress=progress(rows=9, lag=None)), p99_ms=400, started=STARTED, now=NOW.replace(second=15)
    )
    assert report_patch("a", later, first) == {
        "status": {"pods": {"a": {"reportedAt": "2026-11-27T12:00:15.500Z", "rows": 9, "lag": None}}}
    }


def test_the_first_patch_has_all_that_the_schema_requires() -> None:
    fields = report_patch("a", told(Work()), None)["status"]["pods"]["a"]
    assert {"reportedAt", "startedAt", "state"} <= fields.keys()
    assert fields["lag"] is None


def test_the_window_forgets_what_is_too_old() -> None:
    window = LatencyWindow()
    assert window.p99_ms(0.0) is None
    window.add(0.0, [9000.0])
    window.add(20.0, [100.0] * 99)
    assert window.p99_ms(20.0) == 9000
    assert window.p99_ms(WINDOW_S + 1) == 100
    assert window.p99_ms(WINDOW_S + 21) is None


def test_a_small_batch_is_taken_whole_and_a_large_one_is_sampled() -> None:
    assert picked([3.0, 1.0]) == [3.0, 1.0]
    assert len(picked([float(number) for number in range(5000)])) == 100


@given(st.lists(st.floats(0, 1e6), max_size=1000))
def test_a_sample_keeps_the_ends_of_a_batch(latencies: list[float]) -> None:
    sample = picked(latencies)
    assert len(sample) <= 100
    if latencies:
        assert (min(sample), max(sample)) == (min(latencies), max(latencies))
        assert set(sample) <= set(latencies)
