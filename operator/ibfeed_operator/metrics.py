"""The operator's own metrics, for Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

LEADER: Final = Gauge("ibfeed_operator_leader", "1 if this operator acts, 0 if it stands by.")
RECONCILE_SECONDS: Final = Histogram(
    "ibfeed_operator_reconcile_seconds",
    "Duration of one reconcile cycle of one feed.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10),
)
RECONCILE_ERRORS: Final = Counter(
    "ibfeed_operator_reconcile_errors", "Reconcile cycles that failed.", ("namespace", "feed")
)
MOVES: Final = Counter(
    "ibfeed_operator_moves", "Contracts that went from one worker to another.", ("namespace", "feed")
)
CONTRACTS: Final = Gauge(
    "ibfeed_feed_contracts",
    "Contracts of a feed: wanted, assigned, publishing, standby (a hot standby would go on with it at once).",
    ("namespace", "feed", "state"),
)
WORKERS: Final = Gauge("ibfeed_feed_workers", "Workers of a feed: wanted, streaming.", ("namespace", "feed", "state"))
SINK_READY: Final = Gauge(
    "ibfeed_operator_sink_ready", "1 if an IbSink is known to write records now, else 0.", ("namespace", "sink")
)
SINK_ERRORS: Final = Counter(
    "ibfeed_operator_sink_reconcile_errors", "Reconcile cycles of a sink that failed.", ("namespace", "sink")
)


def forget(namespace: str, feed: str) -> None:
    """Drop the series of a feed that no longer exists."""
    for metric in (RECONCILE_ERRORS, MOVES):
        metric.remove_by_labels({"namespace": namespace, "feed": feed})
    for gauge in (CONTRACTS, WORKERS):
        gauge.remove_by_labels({"namespace": namespace, "feed": feed})


def forget_sink(namespace: str, sink: str) -> None:
    """Drop the series of a sink that no longer exists, or is suspended."""
    SINK_READY.remove_by_labels({"namespace": namespace, "sink": sink})
    SINK_ERRORS.remove_by_labels({"namespace": namespace, "sink": sink})
