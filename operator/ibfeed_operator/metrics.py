"""The operator's own metrics, for Prometheus. Their labels name feeds and sinks, and nothing more numerous."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_FEED: Final = ("namespace", "feed")
_SINK: Final = ("namespace", "sink")

LEADER: Final = Gauge("ibfeed_operator_leader", "1 if this operator acts, 0 if it stands by.")
RECONCILE_SECONDS: Final = Histogram(
    "ibfeed_operator_reconcile_seconds",
    "Duration of one reconcile cycle of one feed.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10),
)
RECONCILE_ERRORS: Final = Counter("ibfeed_operator_reconcile_errors", "Reconcile cycles that failed.", _FEED)
RECONCILED: Final = Gauge(
    "ibfeed_operator_last_reconcile_timestamp_seconds",
    "When a reconcile cycle of the feed last succeeded; before the first one, when its task began.",
    _FEED,
)
MOVES: Final = Counter("ibfeed_operator_moves", "Contracts that went from one worker to another.", _FEED)
CONTRACTS: Final = Gauge(
    "ibfeed_feed_contracts",
    "Contracts of a feed: wanted, assigned, publishing, standby (a hot standby would go on with it at once).",
    (*_FEED, "state"),
)
WORKERS: Final = Gauge("ibfeed_feed_workers", "Workers of a feed: wanted, streaming.", (*_FEED, "state"))
ACCOUNTS: Final = Gauge(
    "ibfeed_feed_accounts",
    "Accounts that the feed may use: configured, held (by a worker), failing (the last login failed), parked.",
    (*_FEED, "state"),
)
CONDITION: Final = Gauge(
    "ibfeed_feed_condition",
    "1 for the status (True, False, Unknown) and the reason that a condition of the feed has at present.",
    (*_FEED, "condition", "status", "reason"),
)
IB_MAINTENANCE: Final = Gauge(
    "ibfeed_ib_maintenance",
    "1 while IB's published reset or maintenance of the feed's region goes on, else 0: trouble is IB's then.",
    _FEED,
)
SINK_READY: Final = Gauge("ibfeed_operator_sink_ready", "1 if an IbSink is known to write records now, else 0.", _SINK)
SINK_ERRORS: Final = Counter("ibfeed_operator_sink_reconcile_errors", "Reconcile cycles of a sink that failed.", _SINK)

_conditions: Final[dict[tuple[str, str], set[tuple[str, str, str]]]] = {}


def show_feed(namespace: str, feed: str) -> None:
    """Make the series of a feed whose cycles begin, so that failures from the first one on can be seen."""
    RECONCILE_ERRORS.labels(namespace, feed)
    MOVES.labels(namespace, feed)
    RECONCILED.labels(namespace, feed).set(time.time())


def show_conditions(namespace: str, feed: str, conditions: Iterable[tuple[str, str, str]]) -> None:
    """Set the series of a feed's conditions, each given as type, status and reason. Each has one series at a time."""
    now = set(conditions)
    before = _conditions.get((namespace, feed), set())
    for gone in before - now:
        CONDITION.remove(namespace, feed, *gone)
    for new in now - before:
        CONDITION.labels(namespace, feed, *new).set(1)
    _conditions[namespace, feed] = now


def forget(namespace: str, feed: str) -> None:
    """Drop the series of a feed that no longer exists, or that another operator has."""
    for metric in (RECONCILE_ERRORS, MOVES, RECONCILED, CONTRACTS, WORKERS, ACCOUNTS, CONDITION, IB_MAINTENANCE):
        metric.remove_by_labels({"namespace": namespace, "feed": feed})
    _conditions.pop((namespace, feed), None)


def forget_sink(namespace: str, sink: str) -> None:
    """Drop the series of a sink that no longer exists, or is suspended."""
    SINK_READY.remove_by_labels({"namespace": namespace, "sink": sink})
    SINK_ERRORS.remove_by_labels({"namespace": namespace, "sink": sink})
