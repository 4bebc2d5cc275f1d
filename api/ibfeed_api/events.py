"""Every reason of the Kubernetes events of feeds and sinks: what it means, and what to do. Scripts match on reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from ibfeed_api.kinds import FEED_KIND, SINK_KIND


class EventReason(StrEnum):
    """Reasons of events. An IbSink has the reasons of its condition Ready."""

    ACCOUNT_IN_USE = "AccountInUse"
    ACCOUNT_PARKED = "AccountParked"
    ACCOUNT_REFUSED = "AccountRefused"
    ADOPTED = "Adopted"
    AMBIGUOUS_ROOT = "AmbiguousRoot"
    CONTRACTS_MOVED = "ContractsMoved"
    POD_REPLACED = "PodReplaced"
    SESSION_CONTESTED = "SessionContested"
    SUBSCRIPTION_REFUSED = "SubscriptionRefused"
    UNIVERSE_SHRANK = "UniverseShrank"
    UNKNOWN_ROOT = "UnknownRoot"
    UNUSABLE_CONTRACT = "UnusableContract"
    WORKER_LOST = "WorkerLost"
    WORKER_STREAMING = "WorkerStreaming"
    SINK_WRITING = "Writing"
    SINK_FAILING = "DestinationFailing"
    SINK_FEED_NOT_FOUND = "FeedNotFound"
    SINK_FEED_UNREADABLE = "FeedUnreadable"
    SINK_INVALID_SPEC = "InvalidSpec"
    SINK_LAG_GROWS = "LagGrows"
    SINK_LAG_STANDS = "LagStands"
    SINK_NO_REPORT = "NoReport"
    SINK_POD_NOT_RUNNING = "PodNotRunning"
    SINK_POD_REFUSED = "PodRefused"
    SINK_PROGRESSING = "Progressing"
    SINK_RECONCILE_FAILED = "ReconcileFailed"
    SINK_REFUSED = "DestinationRefused"
    SINK_REPORT_STALE = "ReportStale"
    SINK_SUSPENDED = "Suspended"


@dataclass(frozen=True, slots=True)
class EventMeaning:
    """The meaning of an event: the kind of its object, what it says, and what a person does."""

    about: str
    kind: Literal["Normal", "Warning"]
    meaning: str
    todo: str


def _feed(kind: Literal["Normal", "Warning"], meaning: str, todo: str = "nothing") -> EventMeaning:
    return EventMeaning(FEED_KIND, kind, meaning, todo)


def _sink(meaning: str, todo: str, kind: Literal["Normal", "Warning"] = "Warning") -> EventMeaning:
    return EventMeaning(SINK_KIND, kind, meaning, todo)


_R: Final = EventReason
CATALOGUE: Final[dict[EventReason, EventMeaning]] = {
    _R.ACCOUNT_IN_USE: _feed(
        "Warning", "another worker uses the same user at IB", "give each account a user of its own"
    ),
    _R.ACCOUNT_PARKED: _feed(
        "Warning",
        "an account is not tried for hours, after failed logins",
        "condition `AccountsAvailable` says which, why, and how to clear it",
    ),
    _R.ACCOUNT_REFUSED: _feed(
        "Warning", "IB refused an account, and the worker got another one", "check its credentials before it is parked"
    ),
    _R.ADOPTED: _feed("Normal", "shards of an earlier IbFeed of this name are now this one's"),
    _R.AMBIGUOUS_ROOT: _feed(
        "Warning", "IB lists several products under a root", "put one of the lines into `spec.roots` that it prints"
    ),
    _R.CONTRACTS_MOVED: _feed("Normal", "contracts went from one worker to another, and why"),
    _R.POD_REPLACED: _feed("Normal", "a pod that could not start was deleted, since its template has changed"),
    _R.SESSION_CONTESTED: _feed(
        "Warning", "another login took a worker's session, and it was taken back", "log out there"
    ),
    _R.SUBSCRIPTION_REFUSED: _feed(
        "Warning", "IB answered a subscription with an error", "check the account's market data subscriptions"
    ),
    _R.UNIVERSE_SHRANK: _feed(
        "Warning", "IB lists fewer contracts of a root than before; the former ones stay", "compare with IB's listing"
    ),
    _R.UNKNOWN_ROOT: _feed("Warning", "IB knows no future of a root", "correct `spec.roots`"),
    _R.UNUSABLE_CONTRACT: _feed(
        "Warning", "IB lists a contract in a way that cannot be used", "condition `UniverseResolved` says why"
    ),
    _R.WORKER_LOST: _feed(
        "Warning", "a worker is lost, and others take its contracts over", "`kubectl describe pod` of that worker"
    ),
    _R.WORKER_STREAMING: _feed("Normal", "a worker streams, for the first time or again"),
    _R.SINK_WRITING: _sink("it writes again", "nothing", "Normal"),
    _R.SINK_FAILING: _sink("Kafka or the destination fails, and is tried again", "look at the destination"),
    _R.SINK_FEED_NOT_FOUND: _sink("there is no such feed in the namespace", "correct `spec.feedRef.name`"),
    _R.SINK_FEED_UNREADABLE: _sink("the feed's spec cannot be read", "see the feed's condition `Ready`"),
    _R.SINK_INVALID_SPEC: _sink("the sink's spec cannot be read", "correct it; condition `Ready` says where"),
    _R.SINK_LAG_GROWS: _sink("records come faster than it writes", "raise `spec.replicas`, or help the destination"),
    _R.SINK_LAG_STANDS: _sink("records wait, and none has been written for a while", "the pods' logs"),
    _R.SINK_NO_REPORT: _sink("a process runs, and has not told anything yet", "the pod's log"),
    _R.SINK_POD_NOT_RUNNING: _sink("a pod does not run", "`kubectl describe pod`: image, node, quota"),
    _R.SINK_POD_REFUSED: _sink("the API server refuses to create a pod", "the quota or policy that it names"),
    _R.SINK_PROGRESSING: _sink("pods start, or are updated", "nothing"),
    _R.SINK_RECONCILE_FAILED: _sink("the operator cannot bring it to its spec", "the operator's log"),
    _R.SINK_REFUSED: _sink("Kafka or the destination refuses", "correct what the message names"),
    _R.SINK_REPORT_STALE: _sink("a process has told nothing for a while", "the pod's log and node"),
    _R.SINK_SUSPENDED: _sink("`spec.suspend` is true", "nothing"),
}
