"""Builds ``IbSink.status`` from what is seen of a sink, and its status before. Pure.

A sink is Ready only if it is known that records are written now: the unknown is not True.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from ibfeed_api.sink import (
    MAX_ERROR,
    OBJECTIVE_MS,
    PodReport,
    SinkCondition,
    SinkReason,
    SinkSpec,
    SinkState,
    sink_group,
)
from ibfeed_operator.model.text import clip, listed, plural
from ibfeed_operator.sinks.lag import LagWatch
from ibfeed_operator.sinks.model import Sink, SinkPodState, SinkStatus, Workload
from ibfeed_operator.sinks.resources import sink_selector
from ibfeed_operator.status.conditions import FALSE, TRUE, UNKNOWN, Truth, set_conditions

STALE_S: Final = 20.0  # a process reports every 5 s
STALL_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class SinkCheck:
    """One condition as it was just checked. ``message`` tells a person the state and what to do."""

    condition: SinkCondition
    truth: Truth
    reason: SinkReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkInput:
    """All that a status is made of.

    Args:
        feed_problem: why the feed cannot be used: reason and message; None: it can.
        pods: the pods that exist.
        ages: by pod, the seconds since its report was seen to change.
        lags: the sink's lag of the last minutes, with the present one.
        trouble: why the sink cannot be brought to its spec; empty: it can.
    """

    sink: Sink
    spec: SinkSpec
    feed_problem: tuple[SinkReason, str] | None = None
    workload: Workload | None = None
    pods: tuple[SinkPodState, ...] = ()
    ages: Mapping[str, float] = field(default_factory=dict)
    lags: LagWatch = field(default_factory=LagWatch)
    trouble: str = ""

    @property
    def living(self) -> tuple[SinkPodState, ...]:
        return tuple(pod for pod in self.pods if not pod.deleting)

    @property
    def fresh(self) -> dict[str, PodReport]:
        """The reports of running pods that are not stale, by pod."""
        reports = self.sink.status.pods
        return {
            pod.name: reports[pod.name]
            for pod in self.living
            if pod.running and pod.name in reports and self.ages.get(pod.name, 0.0) <= STALE_S
        }


def sink_lag(sink_input: SinkInput) -> int | None:
    """Return the records that wait, over all pods; None if one of them does not know."""
    lags = [report.lag for report in sink_input.fresh.values()]
    if not lags or None in lags or len(lags) < len(sink_input.living):
        return None
    return sum(lag for lag in lags if lag is not None)


def status_of_sink(sink_input: SinkInput, *, now: datetime) -> SinkStatus:
    """Return the whole new status. ``now`` (timezone-aware) goes only into conditions that flip."""
    sink, spec = sink_input.sink, sink_input.spec
    names = {pod.name for pod in sink_input.pods}
    pods = {name: report for name, report in sink.status.pods.items() if name in names}
    fresh = sink_input.fresh.values()
    errors = [f"{name}: {report.error}" for name, report in sorted(sink_input.fresh.items()) if report.error]
    return SinkStatus(
        observed_generation=sink.generation,
        conditions=set_conditions(sink.status.conditions, check_sink(sink_input), generation=sink.generation, now=now),
        destination=spec.destination,
        consumer_group=sink_group(sink.namespace, sink.name),
        replicas=len(sink_input.pods),
        selector=",".join(f"{label}={value}" for label, value in sink_selector(sink.name).items()),
        lag=sink_lag(sink_input),
        rows=sum(report.rows for report in pods.values()),
        last_event_time=_latest([*(report.last_event_time for report in fresh), sink.status.last_event_time]),
        last_write_time=_latest([*(report.last_write_time for report in fresh), sink.status.last_write_time]),
        latency_p99_ms=_highest(report.latency_p99_ms for report in fresh),
        last_error=clip("; ".join(errors), MAX_ERROR) or sink.status.last_error,
        unreadable=sum(report.unreadable for report in pods.values()),
        pods=pods,
    )


def status_of_invalid_sink(sink: Sink, *, now: datetime) -> SinkStatus:
    """Return the status of a sink whose spec cannot be read. The rest stays as it was."""
    ready = SinkCheck(
        SinkCondition.READY,
        FALSE,
        SinkReason.INVALID_SPEC,
        f"the spec cannot be read: {sink.invalid}; pods go on as they are",
    )
    others = (
        SinkCheck(condition, UNKNOWN, SinkReason.INVALID_SPEC, "the spec cannot be read")
        for condition in SinkCondition
        if condition is not SinkCondition.READY
    )
    conditions = set_conditions(sink.status.conditions, (ready, *others), generation=sink.generation, now=now)
    return msgspec.structs.replace(sink.status, observed_generation=sink.generation, conditions=conditions)


def status_patch(before: SinkStatus, after: SinkStatus) -> dict[str, Any]:
    """Return a merge patch of the status: all fields of the operator, and the removal of reports of pods that are gone.

    The reports of other pods are not in it. So a report that came meanwhile stays.
    """
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(after))
    del plain["pods"]
    gone = {name: None for name in before.pods if name not in after.pods}
    return plain | ({"pods": gone} if gone else {})


def check_sink(sink_input: SinkInput) -> tuple[SinkCheck, ...]:
    """Return the results of all conditions, ``Ready`` first."""
    feed, available = _check_feed(sink_input), _check_available(sink_input)
    writing, caught_up = _check_writing(sink_input), _check_caught_up(sink_input)
    parts = (feed, available, writing, caught_up)
    return (
        _check_ready(sink_input, parts),
        *parts,
        _check_on_time(sink_input),
        _check_readable(sink_input),
        _check_suspended(sink_input),
    )


def _check_ready(sink_input: SinkInput, parts: tuple[SinkCheck, ...]) -> SinkCheck:
    if sink_input.trouble:
        return SinkCheck(SinkCondition.READY, FALSE, SinkReason.RECONCILE_FAILED, sink_input.trouble)
    if sink_input.spec.suspend:
        return SinkCheck(SinkCondition.READY, FALSE, SinkReason.SUSPENDED, "suspended")
    failed = next((part for part in parts if part.truth == FALSE), None)
    # A lag that is not known does not keep a sink that writes from being ready: a destination may not tell it.
    unknown = next((part for part in parts[:-1] if part.truth == UNKNOWN), None)
    worst = failed or unknown
    if worst is not None:
        return SinkCheck(SinkCondition.READY, worst.truth, worst.reason, worst.message)
    return SinkCheck(SinkCondition.READY, TRUE, SinkReason.WRITING, f"records are written to {_where(sink_input.spec)}")


def _check_feed(sink_input: SinkInput) -> SinkCheck:
    if sink_input.feed_problem is not None:
        return SinkCheck(SinkCondition.FEED_FOUND, FALSE, *sink_input.feed_problem)
    name = sink_input.spec.feed_ref.name
    return SinkCheck(SinkCondition.FEED_FOUND, TRUE, SinkReason.FEED_FOUND, f"IbFeed {name} says where the records are")


def _check_available(sink_input: SinkInput) -> SinkCheck:
    wanted = 0 if sink_input.spec.suspend else sink_input.spec.replicas
    running = [pod for pod in sink_input.living if pod.running]
    condition = SinkCondition.AVAILABLE
    if len(running) >= wanted:
        return SinkCheck(condition, TRUE, SinkReason.AVAILABLE, f"{plural(len(running), 'pod')} of {wanted} wanted")
    count = f"{len(running)} of {plural(wanted, 'pod')} running"
    if sink_input.workload is not None and sink_input.workload.refused:
        return SinkCheck(condition, FALSE, SinkReason.POD_REFUSED, f"{count}; {sink_input.workload.refused}")
    waiting = [f"{pod.name}: {pod.waiting}" for pod in sink_input.living if pod.waiting]
    if waiting:
        advice = "check spec.pod, and `kubectl logs --previous` of the pod"
        return SinkCheck(condition, FALSE, SinkReason.POD_NOT_RUNNING, f"{count}; {listed(waiting, most=2)}; {advice}")
    return SinkCheck(condition, FALSE, SinkReason.PROGRESSING, f"{count}; waiting for them to start")


def _check_writing(sink_input: SinkInput) -> SinkCheck:
    fresh, condition = sink_input.fresh, SinkCondition.WRITING
    for state, reason in ((SinkState.REFUSED, SinkReason.REFUSED), (SinkState.RETRYING, SinkReason.RETRYING)):
        failing = [f"{name}: {report.error}" for name, report in sorted(fresh.items()) if report.state is state]
        if failing:
            return SinkCheck(condition, FALSE, reason, "; ".join(failing))
    good = [name for name, report in fresh.items() if report.state is SinkState.WRITING]
    if good and len(good) >= sink_input.spec.replicas:
        return SinkCheck(condition, TRUE, SinkReason.WRITING, f"confirmed by {_where(sink_input.spec)}")
    running = [pod.name for pod in sink_input.living if pod.running]
    stale = [name for name in running if name in sink_input.sink.status.pods and name not in fresh]
    if stale:
        advice = "see `kubectl logs`, and whether it reaches the API server"
        text = f"{listed(stale)} reported nothing for {STALE_S:g} s: {advice}"
        return SinkCheck(condition, UNKNOWN, SinkReason.REPORT_STALE, text)
    untold = [name for name in running if name not in good]
    text = f"{listed(untold)} has written nothing yet" if untold else "no pod runs"
    return SinkCheck(condition, UNKNOWN, SinkReason.NO_REPORT, text)


def _check_caught_up(sink_input: SinkInput) -> SinkCheck:
    lag, condition = sink_lag(sink_input), SinkCondition.CAUGHT_UP
    if lag is None:
        return SinkCheck(condition, UNKNOWN, SinkReason.LAG_UNKNOWN, "not every pod knows how many records wait")
    if sink_input.lags.grows:
        advice = f"look at the load of {_where(sink_input.spec)}"
        more = ", or raise spec.replicas up to the topics' partitions" if sink_input.spec.redis is not None else ""
        text = f"{plural(lag, 'record')} wait, more than a minute ago: {advice}{more}"
        return SinkCheck(condition, FALSE, SinkReason.LAG_GROWS, text)
    if sink_input.lags.stands(STALL_S) and _wrote_nothing_for(sink_input, STALL_S):
        text = f"{plural(lag, 'record')} wait, and none was written for {STALL_S:g} s: see `kubectl logs` of the pods"
        return SinkCheck(condition, FALSE, SinkReason.LAG_STANDS, text)
    return SinkCheck(condition, TRUE, SinkReason.CAUGHT_UP, "the lag does not grow")


def _wrote_nothing_for(sink_input: SinkInput, seconds: float) -> bool:
    """Whether no pod has written for so long. Both times of a report are of one clock."""

    def since(report: PodReport) -> float:
        latest = datetime.fromisoformat(report.last_write_time or report.started_at)
        return (datetime.fromisoformat(report.reported_at) - latest).total_seconds()

    return all(since(report) >= seconds for report in sink_input.fresh.values())


def _check_on_time(sink_input: SinkInput) -> SinkCheck:
    p99 = _highest(report.latency_p99_ms for report in sink_input.fresh.values())
    condition, objective = SinkCondition.ON_TIME, f"{OBJECTIVE_MS / 1000:g} s"
    if p99 is None:
        return SinkCheck(condition, UNKNOWN, SinkReason.NOT_MEASURED, "no record within the last half minute")
    if p99 <= OBJECTIVE_MS:
        text = f"99 of 100 records are in the destination within {objective} of IB's time"
        return SinkCheck(condition, TRUE, SinkReason.ON_TIME, text)
    text = f"one of 100 records takes more than {objective} from IB's time: look at lag, and at the load of"
    return SinkCheck(condition, FALSE, SinkReason.LATE, f"{text} {_where(sink_input.spec)}")


def _check_readable(sink_input: SinkInput) -> SinkCheck:
    """Tell of records that were left out. They keep no other record from being written, so ``Ready`` does not count it.

    A pod remembers them for as long as it lives, and ClickHouse in its table ``rejected``.
    """
    reports = {name: report for name, report in sorted(sink_input.fresh.items()) if report.unreadable}
    if not sink_input.fresh:
        return SinkCheck(SinkCondition.READABLE, UNKNOWN, SinkReason.NO_REPORT, "no pod tells")
    if not reports:
        return SinkCheck(SinkCondition.READABLE, TRUE, SinkReason.ALL_READABLE, "every record could be decoded")
    count = sum(report.unreadable for report in reports.values())
    causes = listed([f"{name}: {report.unreadable_cause}" for name, report in reports.items()], most=2)
    text = f"{plural(count, 'record')} left out, which cannot be decoded; the last: {causes}"
    advice = "look who else writes to the topics, and whether the sink's image is as new as the feed's"
    return SinkCheck(SinkCondition.READABLE, FALSE, SinkReason.LEFT_OUT, f"{text}; {advice}")


def _check_suspended(sink_input: SinkInput) -> SinkCheck:
    if sink_input.spec.suspend:
        text = "no pod runs; the consumer group stays, and pods go on there once spec.suspend is false"
        return SinkCheck(SinkCondition.SUSPENDED, TRUE, SinkReason.SUSPENDED, text)
    return SinkCheck(SinkCondition.SUSPENDED, FALSE, SinkReason.NOT_SUSPENDED, "spec.suspend is not set")


def _where(spec: SinkSpec) -> str:
    if spec.clickhouse is not None:
        return f"ClickHouse at {spec.clickhouse.url}"
    redis = spec.computation.redis if spec.computation is not None else spec.redis
    return f"Redis at {redis.url}" if redis is not None else "the destination"


def _latest(times: Iterable[str | None]) -> str | None:
    known = [time for time in times if time is not None]
    return max(known, key=datetime.fromisoformat) if known else None


def _highest(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return max(known) if known else None
