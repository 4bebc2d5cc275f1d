"""What the status of a sink says of each state that it can be in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.sink import PodReport, SinkReason, SinkState
from ibfeed_operator.sinks.lag import LagWatch
from ibfeed_operator.sinks.model import Sink, SinkPodState, SinkStatus, Workload
from ibfeed_operator.sinks.status import (
    STALE_S,
    SinkInput,
    check_sink,
    sink_lag,
    status_of_invalid_sink,
    status_of_sink,
    status_patch,
)
from support.ibsinks import CLICKHOUSE, COMPUTATION, REDIS, pod, report, sink, spec_of

NOW = datetime(2026, 11, 27, 12, 0, 11, tzinfo=UTC)
A, B = "latest-sink-a", "latest-sink-b"


def seen(
    reports: dict[str, PodReport] | None = None,
    *,
    pods: tuple[SinkPodState, ...] | None = None,
    spec: dict[str, Any] = REDIS,
    before: SinkStatus | None = None,
    **more: Any,
) -> SinkInput:
    reports = {A: report()} if reports is None else reports
    fields = {name: more.pop(name) for name in ("replicas", "suspend") if name in more}
    status = replace_pods(before or SinkStatus(), reports)
    it = sink(spec, status=status, **fields)
    assert it.spec is not None
    existing = tuple(pod(name) for name in reports) if pods is None else pods
    return SinkInput(sink=it, spec=it.spec, pods=existing, **more)


def replace_pods(status: SinkStatus, reports: dict[str, PodReport]) -> SinkStatus:
    return SinkStatus(**{name: getattr(status, name) for name in status.__struct_fields__} | {"pods": reports})


def said(it: SinkInput, condition: str = "Ready") -> tuple[str, str, str]:
    (found,) = (check for check in check_sink(it) if check.condition == condition)
    return found.truth, found.reason, found.message


def test_a_sink_that_writes_is_ready() -> None:
    truth, reason, message = said(seen())
    assert (truth, reason) == ("True", "Writing")
    assert message == "records are written to Redis at rediss://redis:6379/0"


@pytest.mark.parametrize(
    ("it", "truth", "reason", "says"),
    [
        (seen(trouble="Role latest-sink is there already"), "False", "ReconcileFailed", "is there already"),
        (seen({}, pods=(), suspend=True), "False", "Suspended", "suspended"),
        (
            seen(feed_problem=(SinkReason.FEED_NOT_FOUND, "there is no IbFeed energy: create it")),
            "False",
            "FeedNotFound",
            "create it",
        ),
        (
            seen({}, pods=(), workload=Workload(sink="latest", uid="u", generation=1, refused="exceeded quota")),
            "False",
            "PodRefused",
            "0 of 1 pod running; exceeded quota",
        ),
        (
            seen({}, pods=(pod(A, running=False, waiting="ErrImagePull: no such image"),)),
            "False",
            "PodNotRunning",
            "ErrImagePull: no such image; check spec.pod",
        ),
        (seen({}, pods=(pod(A, running=False),)), "False", "Progressing", "waiting for them to start"),
        (seen(replicas=2), "False", "Progressing", "1 of 2 pods running"),
        (seen({}, pods=(pod(A),)), "Unknown", "NoReport", f"{A} has written nothing yet"),
        (seen({A: report(state=SinkState.STARTING)}), "Unknown", "NoReport", f"{A} has written nothing yet"),
        (seen(ages={A: STALE_S + 1}), "Unknown", "ReportStale", "reported nothing for 20 s: see `kubectl logs`"),
        (
            seen({A: report(state=SinkState.RETRYING, error="Redis fails: refused; it is tried again")}),
            "False",
            "DestinationFailing",
            f"{A}: Redis fails",
        ),
        (
            seen({A: report(), B: report(state=SinkState.REFUSED, error="wrong password: correct it")}, replicas=2),
            "False",
            "DestinationRefused",
            f"{B}: wrong password: correct it",
        ),
    ],
)
def test_what_keeps_a_sink_from_being_ready(it: SinkInput, truth: str, reason: str, says: str) -> None:
    found = said(it)
    assert found[:2] == (truth, reason)
    assert says in found[2]


def test_a_pod_more_that_starts_does_not_make_it_unready() -> None:
    it = seen(pods=(pod(A), pod(B)))
    assert said(it)[0] == "True"


def test_a_report_counts_only_while_its_pod_runs() -> None:
    it = seen({A: report()}, pods=(pod(A, running=False), pod(B)))
    assert said(it)[:2] == ("Unknown", "NoReport")


def test_as_many_pods_as_are_wanted_must_write() -> None:
    it = seen({A: report(), B: report(state=SinkState.STARTING)}, replicas=2)
    assert said(it) == ("Unknown", "NoReport", f"{B} has written nothing yet")


def test_a_pod_that_goes_counts_no_more() -> None:
    it = seen({A: report(), B: report(state=SinkState.REFUSED, error="x")}, pods=(pod(A), pod(B, deleting=True)))
    assert said(it)[0] == "True"


def test_a_lag_that_is_not_known_keeps_no_sink_from_being_ready() -> None:
    it = seen({A: report(lag=None)})
    assert said(it)[0] == "True"
    assert said(it, "CaughtUp")[:2] == ("Unknown", "LagUnknown")


def lags(*values: int) -> LagWatch:
    watch = LagWatch()
    for place, value in enumerate(values):
        watch = watch.observe(place * 5.0, value)
    return watch


@pytest.mark.parametrize(
    ("spec", "says", "not_said"),
    [(REDIS, "raise spec.replicas", ""), (CLICKHOUSE, "load of ClickHouse at http://clickhouse:8123", "replicas")],
)
def test_a_lag_that_grows_is_told_with_what_to_do(spec: dict[str, Any], says: str, not_said: str) -> None:
    truth, reason, message = said(seen({A: report(lag=48_000)}, spec=spec, lags=lags(*range(0, 48_000, 2000))))
    assert (truth, reason) == ("False", "LagGrows")
    assert "48000 records wait" in message
    assert says in message
    assert not not_said or not_said not in message


def test_records_that_wait_unwritten_are_told() -> None:
    stalled = report(lag=7, last_write_time="2026-11-27T11:59:30.000Z")
    assert said(seen({A: stalled}, lags=lags(*[7] * 8)))[:2] == ("False", "LagStands")
    # It writes, as where records of other feeds make up the lag.
    assert said(seen({A: report(lag=7)}, lags=lags(*[7] * 8)))[0] == "True"
    never = report(lag=7, last_write_time=None)
    assert said(seen({A: never}, lags=lags(*[7] * 8)))[:2] == ("False", "LagStands")


@pytest.mark.parametrize(
    ("p99", "truth", "reason"),
    [(6000, "True", "WithinObjective"), (6001, "False", "AboveObjective"), (None, "Unknown", "NotMeasured")],
)
def test_six_seconds_are_judged_apart_from_ready(p99: int | None, truth: str, reason: str) -> None:
    it = seen({A: report(latency_p99_ms=p99)})
    assert said(it, "OnTime")[:2] == (truth, reason)
    assert said(it)[0] == "True"


def test_the_destination_is_named_in_words() -> None:
    assert "Redis at redis://redis:6379" in said(seen(spec=COMPUTATION))[2]


def test_suspension_is_a_condition_of_its_own() -> None:
    assert said(seen({}, pods=(), suspend=True), "Suspended")[0] == "True"
    assert said(seen(), "Suspended")[0] == "False"
    assert said(seen({}, pods=(), suspend=True), "Available")[0] == "True"


def test_pods_are_added_up() -> None:
    reports = {
        A: report(rows=10, lag=2, latency_p99_ms=100),
        B: report(rows=5, lag=3, latency_p99_ms=900, last_event_time="2026-11-27T12:00:09.900Z", error="slow"),
    }
    status = status_of_sink(seen(reports, replicas=2), now=NOW)
    assert (status.rows, status.lag, status.latency_p99_ms, status.replicas) == (15, 5, 900, 2)
    assert status.last_event_time == "2026-11-27T12:00:09.900Z"
    assert status.last_error == f"{B}: slow"
    assert status.selector == "ibfeed.dev/sink=latest,app.kubernetes.io/component=sink"
    assert (status.destination, status.consumer_group) == ("redis", "ibfeed-sink-markets-latest")


def test_the_lag_is_not_known_while_one_pod_does_not_tell() -> None:
    assert sink_lag(seen({A: report()}, pods=(pod(A), pod(B)), replicas=2)) is None
    assert sink_lag(seen({A: report(), B: report(lag=None)}, replicas=2)) is None
    assert sink_lag(seen({}, pods=())) is None


def test_times_and_the_last_error_outlive_the_pods() -> None:
    before = status_of_sink(seen({A: report(error="it failed")}), now=NOW)
    after = status_of_sink(seen({}, pods=(), suspend=True, before=before), now=NOW)
    assert after.last_event_time == "2026-11-27T12:00:08.500Z"
    assert after.last_write_time == "2026-11-27T12:00:09.000Z"
    assert after.last_error == f"{A}: it failed"
    assert after.latency_p99_ms is None


def test_a_report_of_a_pod_that_is_gone_is_removed() -> None:
    it = seen({A: report(), B: report()}, pods=(pod(A),))
    status = status_of_sink(it, now=NOW)
    assert set(status.pods) == {A}
    patch = status_patch(it.sink.status, status)
    assert patch["pods"] == {B: None}
    assert patch["rows"] == 10


def test_a_patch_leaves_reports_of_living_pods_alone() -> None:
    it = seen()
    assert "pods" not in status_patch(it.sink.status, status_of_sink(it, now=NOW))


def test_what_is_no_longer_known_is_taken_back() -> None:
    it = seen({A: report(lag=None)})
    assert status_patch(it.sink.status, status_of_sink(it, now=NOW))["lag"] is None


def test_a_record_that_was_left_out_stays_told_while_the_sink_is_ready() -> None:
    bad = report(unreadable=3, unreadable_cause="the record ticklast[2]@17: it is no JSON")
    it = seen({A: bad, B: report()}, replicas=2)
    assert said(it)[:2] == ("True", "Writing")
    truth, reason, message = said(it, "Readable")
    assert (truth, reason) == ("False", "RecordsLeftOut")
    assert f"3 records left out, which cannot be decoded; the last: {A}: the record ticklast[2]@17" in message
    assert "look who else writes to the topics" in message
    assert status_of_sink(it, now=NOW).unreadable == 3
    assert said(seen(), "Readable")[:2] == ("True", "AllReadable")
    assert said(seen({}, pods=(pod(A),)), "Readable")[:2] == ("Unknown", "NoReport")


def test_all_conditions_are_there_from_the_first_cycle_on() -> None:
    status = status_of_sink(seen({}, pods=()), now=NOW)
    assert [condition.type for condition in status.conditions] == [
        "Ready", "FeedFound", "Available", "Writing", "CaughtUp", "OnTime", "Readable", "Suspended",
    ]  # fmt: skip
    assert status.condition("Ready") is status.conditions[0]
    assert {condition.observed_generation for condition in status.conditions} == {3}


def test_a_spec_that_cannot_be_read_makes_nothing_true() -> None:
    it = Sink(**{name: getattr(sink(), name) for name in Sink.__slots__} | {"spec": None, "invalid": "feedRef: int"})
    status = status_of_invalid_sink(it, now=NOW)
    assert [condition.status for condition in status.conditions] == ["False", *["Unknown"] * 7]
    assert "feedRef: int" in status.conditions[0].message


REPORTS = st.builds(
    report,
    state=st.sampled_from(SinkState),
    lag=st.one_of(st.none(), st.integers(0, 10**6)),
    error=st.sampled_from(["", "it fails"]),
)


@given(
    reports=st.dictionaries(st.sampled_from([A, B, "c"]), REPORTS),
    running=st.sets(st.sampled_from([A, B, "c"])),
    ages=st.dictionaries(st.sampled_from([A, B, "c"]), st.floats(0, 100)),
    replicas=st.integers(1, 3),
)
def test_ready_only_if_enough_pods_are_known_to_write(
    reports: dict[str, PodReport], running: set[str], ages: dict[str, float], replicas: int
) -> None:
    pods = tuple(pod(name, running=name in running) for name in (A, B, "c"))
    it = seen(reports, pods=pods, ages=ages, replicas=replicas)
    writing = [
        name
        for name, told in reports.items()
        if name in running and ages.get(name, 0.0) <= STALE_S and told.state is SinkState.WRITING
    ]
    if said(it)[0] == "True":
        assert len(writing) >= replicas
        failing = (SinkState.RETRYING, SinkState.REFUSED)
        assert not [name for name, told in it.fresh.items() if told.state in failing]


def test_spec_of_another_destination_is_not_mixed_up() -> None:
    assert spec_of(CLICKHOUSE).password_secret is None
    assert spec_of(COMPUTATION).destination == "computation"
    assert replace(seen(), trouble="x").trouble == "x"
