"""The panels of the dashboard. In expressions ``@feed`` and ``@sink`` stand for what the reader has chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Args:
        queries: expression and legend of each.
        help: a sentence for the reader.
        unit: Grafana's name of it.
        kind: timeseries, stat or state-timeline.
        limit: from where on values are red.
        width: of 24.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    help: str
    unit: str = "short"
    kind: str = "timeseries"
    limit: float | None = None
    width: int = 8


@dataclass(frozen=True, slots=True)
class Row:
    """A row of panels below a title."""

    title: str
    panels: tuple[Panel, ...]


def _stat(title: str, query: str, legend: str, help_: str, limit: float | None = None) -> Panel:
    return Panel(title, ((query, legend),), help_, kind="stat", limit=limit, width=4)


def _states(title: str, query: str, legend: str, help_: str) -> Panel:
    return Panel(title, ((query, legend),), help_, kind="state-timeline", width=12)


def _graph(title: str, query: str, legend: str, help_: str, unit: str = "short", limit: float | None = None) -> Panel:
    return Panel(title, ((query, legend),), help_, unit, limit=limit)


_UNCOVERED: Final = (
    "max by (namespace, feed) (ibfeed_feed_contracts{@feed,state='wanted'})"
    " - max by (namespace, feed) (ibfeed_feed_contracts{@feed,state='publishing'})"
)
_STREAMING: Final = "max by (namespace, feed) (ibfeed_feed_workers{@feed,state='streaming'})"
_PARKED: Final = "max by (namespace, feed) (ibfeed_feed_accounts{@feed,state='parked'})"
_MAINTENANCE: Final = "max by (namespace, feed) (ibfeed_ib_maintenance{@feed})"
_SINKS_AWAY: Final = "count by (namespace) (ibfeed_operator_sink_ready{@sink} == 0)"
_LATENCY: Final = "sum by (feed, le) (rate(ibfeed_tick_latency_seconds_bucket{@feed}[$__rate_interval]))"
_MISSED: Final = (
    "sum by (pod) (rate(ibfeed_ticks_failed_total{@feed}[$__rate_interval]))"
    " + sum by (pod) (rate(ibfeed_ticks_conflated_total{@feed}[$__rate_interval]))"
)
_CYCLE: Final = "sum by (le) (rate(ibfeed_operator_reconcile_seconds_bucket[$__rate_interval]))"
_SINCE_CYCLE: Final = "time() - max by (namespace, feed) (ibfeed_operator_last_reconcile_timestamp_seconds{@feed})"
_SINK_LATENCY: Final = (
    "sum by (namespace, sink, le) (rate(ibfeed_sink_latency_seconds_bucket{@sink}[$__rate_interval]))"
)
_SINK_ERRORS: Final = "sum by (namespace, sink, kind) (increase(ibfeed_sink_errors_total{@sink}[$__rate_interval]))"

_GLANCE: Final = (
    _stat("Contracts not published", _UNCOVERED, "{{feed}}", "Wanted less publishing.", 1),
    _stat("Workers streaming", _STREAMING, "{{feed}}", "Workers with a session that streams."),
    _stat("Accounts parked", _PARKED, "{{feed}}", "Refused by IB, and not tried for hours.", 1),
    _stat("IB's own maintenance", _MAINTENANCE, "{{feed}}", "1: trouble is IB's, until the time that Ready tells."),
    _stat("Operators that lead", "sum(ibfeed_operator_leader)", "leaders", "One."),
    _stat("Sinks not ready", _SINKS_AWAY, "{{namespace}}", "Sinks that are not known to write.", 1),
)
_TICKS: Final = (
    _graph(
        "Ticks that Kafka has",
        "sum by (feed, pod) (rate(ibfeed_ticks_acknowledged_total{@feed}[$__rate_interval]))",
        "{{pod}}",
        "By worker.",
        "ops",
    ),
    Panel(
        "From IB to Kafka",
        (
            (f"histogram_quantile(0.5, {_LATENCY})", "{{feed}} median"),
            (f"histogram_quantile(0.99, {_LATENCY})", "{{feed}} 99 %"),
        ),
        "A sample, from IB's time of a tick to Kafka's acknowledgement. The objective is six seconds.",
        "s",
        limit=6,
    ),
    _graph(
        "Age of the latest tick",
        "time() - max by (feed, pod) (ibfeed_last_tick_timestamp_seconds{@feed} > 0)",
        "{{pod}}",
        "It grows while the market is closed, too.",
        "s",
    ),
    _graph(
        "Gaps",
        "sum by (feed, pod) (increase(ibfeed_gaps_total{@feed}[$__rate_interval]))",
        "{{pod}}",
        "As told to readers.",
    ),
    _graph(
        "Contracts by state",
        "sum by (feed, state) (ibfeed_contracts{@feed})",
        "{{feed}} {{state}}",
        "As the workers tell it, standbys included.",
    ),
    _graph(
        "Contracts that trade now",
        "sum by (feed) (ibfeed_contracts_trading{@feed})",
        "{{feed}}",
        "By IB's trading hours.",
    ),
)
_SESSIONS: Final = (
    _states("Session", "ibfeed_session{@feed} == 1", "{{pod}} {{state}}", "The state of each worker's session."),
    _states("Reason", "ibfeed_session_reason{@feed} == 1", "{{pod}} {{reason}}", "Why, if there is a reason."),
    _graph(
        "Logins",
        "sum by (outcome) (increase(ibfeed_logins_total{@feed}[1h]))",
        "{{outcome}}",
        "Within an hour, by outcome.",
    ),
    _graph(
        "Ends of the websocket",
        "sum by (reason) (increase(ibfeed_streams_ended_total{@feed}[1h]))",
        "{{reason}}",
        "Within an hour, by reason.",
    ),
    _graph(
        "Calls to IB",
        "sum by (status) (rate(ibfeed_rest_calls_total{@feed}[$__rate_interval]))",
        "{{status}}",
        "By status; 429 is IB's penalty.",
        "reqps",
    ),
)
_KAFKA: Final = (
    _graph(
        "Reachable",
        "min by (feed, pod) (ibfeed_kafka_reachable{@feed})",
        "{{pod}}",
        "1: records can be published.",
    ),
    _graph(
        "Waiting for acknowledgement",
        "sum by (feed, pod) (ibfeed_kafka_backlog{@feed})",
        "{{pod}}",
        "Records.",
    ),
    _graph("Failed or conflated ticks", _MISSED, "{{pod}}", "Ticks that readers miss.", "ops"),
)
_OPERATOR: Final = (
    _graph("Reconcile cycle", f"histogram_quantile(0.99, {_CYCLE})", "99 %", "Of all feeds.", "s"),
    _graph("Since the last cycle", _SINCE_CYCLE, "{{feed}}", "That succeeded.", "s", 120),
    _graph(
        "Moves",
        "sum by (feed) (increase(ibfeed_operator_moves_total{@feed}[$__rate_interval]))",
        "{{feed}}",
        "Contracts that went from one worker to another.",
    ),
)
_SINKS: Final = (
    _graph(
        "Lag",
        "sum by (namespace, sink) (ibfeed_sink_lag_records{@sink})",
        "{{sink}}",
        "Records in Kafka that are not confirmed.",
    ),
    _graph(
        "From IB to the destination",
        f"histogram_quantile(0.99, {_SINK_LATENCY})",
        "{{sink}} 99 %",
        "The objective is six seconds.",
        "s",
        6,
    ),
    _graph("Errors", _SINK_ERRORS, "{{sink}} {{kind}}", "By kind."),
)

ROWS: Final = (
    Row("At a glance", _GLANCE),
    Row("Ticks", _TICKS),
    Row("Sessions and logins", _SESSIONS),
    Row("Kafka", _KAFKA),
    Row("Operator", _OPERATOR),
    Row("Sinks", _SINKS),
)
