"""Diagnoses one worker from its shard, pod and Lease at this moment. It has no memory; ``tracker.py`` has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ibfeed_api.lease import holder_of
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Session
from ibfeed_operator.model.types import AccountLease, Feed, Pod, Shard

# A worker that backs off for one of these returns after a login at the earliest, ten seconds or ten minutes later. No
# grace is long enough for that. One that takes its session back from another user (accounts.compete) needs a second.
_FAR_FROM_BACK: Final = frozenset({Reason.COMPETING, Reason.GATEWAY_DIED, Reason.GATEWAY_SICK})
# A worker with one of these reasons has found nothing wrong but that its feed is silent. In the penalty box it may not
# even ask.
_NOTHING_NEW: Final = frozenset({"", Reason.FEED_SILENT, Reason.PENALTY_BOX})
# A session in one of these states is being repaired. In any other state but Streaming the cause is not IB.
_REPAIRING: Final = frozenset(
    {
        Session.STARTING,
        Session.STARTING_GATEWAY,
        Session.LOGGING_IN,
        Session.CONNECTING,
        Session.RECONNECTING,
        Session.BACKING_OFF,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One worker as the cluster shows it. ``lease`` is that of the account that its shard names.

    ``ended``: the start of a process of it that has ended, as its lifeline tells; empty: none is known to have.
    """

    index: int
    shard: Shard | None = None
    pod: Pod | None = None
    lease: AccountLease | None = None
    ended: str = ""

    @property
    def holds(self) -> bool:
        return self.shard is not None and bool(self.shard.spec.contracts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The state of one worker as its shard, pod and Lease show it at one moment."""

    streaming: bool = False
    leaving: bool = False  # it streams until its contracts are handed over
    silent: bool = False
    dead: bool = False
    process: str = ""  # when the process that reported last was started
    repairing: bool = False
    far_from_back: bool = False  # it reports a repair of its session that takes longer than the grace
    feed_silent: bool = False  # it reports that it would stream if IB sent anything
    troubled: bool = False  # it reports that something other than its feed is wrong
    relogin_due: bool = False  # it streams, and would log in again if it were relieved
    relogging_in: bool = False  # it has been relieved and logs in again
    parked: bool = False
    reason: str = ""

    @property
    def has_session(self) -> bool:
        return self.streaming or self.leaving


def observe(
    feed: Feed,
    shards: Iterable[Shard],
    pods: Mapping[int, Pod],
    leases: Iterable[AccountLease],
    ended: Mapping[int, str],
) -> dict[int, Observation]:
    """Return one observation for each worker that the spec asks for, or that still has a shard or a pod."""
    by_name = {lease.name: lease for lease in leases}
    by_worker = {shard.worker: shard for shard in shards}
    result = {}
    for worker in sorted({*range(feed.spec.workers), *by_worker, *pods}):
        shard = by_worker.get(worker)
        account = shard.spec.account if shard is not None else None
        result[worker] = Observation(
            index=worker,
            shard=shard,
            pod=pods.get(worker),
            lease=by_name.get(account.lease) if account is not None else None,
            ended=ended.get(worker, ""),
        )
    return result


def diagnose(observation: Observation) -> Diagnosis:
    """Return the state of one worker, judged by this moment alone."""
    pod, shard, lease = observation.pod, observation.shard, observation.lease
    if pod is None:
        return Diagnosis(silent=True, dead=True, reason="it has no pod")
    if not pod.container_running:
        waiting = f": {pod.waiting_reason}" if pod.waiting_reason else ""
        return Diagnosis(silent=True, dead=True, reason=f"its container does not run{waiting}")
    if shard is None or shard.status is None:
        return Diagnosis(silent=shard is not None, reason="its worker has not reported yet")
    status, process = shard.status, shard.status.started_at
    if _older(status.started_at, pod.container_started_at):
        return Diagnosis(silent=True, dead=True, reason="its container was started again")
    if process and process == observation.ended:
        return Diagnosis(silent=True, dead=True, reason="its process has ended")
    mine = lease is not None and lease.holder == holder_of(pod.name, pod.uid)
    # A holder that has not renewed for 10 s has stopped by itself. A worker that has not held it for 10 s is not logged
    # in.
    expired = lease is not None and lease.expired
    if lease is not None and mine and expired:
        return Diagnosis(silent=True, process=process, reason=f"it no longer renews Lease {lease.name}")
    if lease is not None and mine and lease.doubtful:
        # Nobody can be certain that it streams, nor that it has stopped: its contracts wait until members were asked.
        reason = f"it does not renew Lease {lease.name}, and its members do not say yet whether it goes on"
        return Diagnosis(process=process, repairing=True, reason=reason)
    if is_leaving(observation):
        why = "its pod is being deleted" if pod.deleting else "it was told to stop"
        leaving = mine and status.session is Session.STREAMING
        return Diagnosis(silent=expired, process=process, leaving=leaving, reason=why)
    if status.session is not Session.STREAMING:
        reason = status.message or f"its session is {status.session}"
        parked = status.session is Session.PARKED
        repairing = status.session in _REPAIRING
        return Diagnosis(
            silent=expired,
            process=process,
            repairing=repairing,
            far_from_back=status.session is Session.BACKING_OFF and status.reason in _FAR_FROM_BACK,
            feed_silent=repairing and status.reason == Reason.FEED_SILENT,
            troubled=not repairing or status.reason not in _NOTHING_NEW,
            relogging_in=repairing and status.reason == Reason.RELOGIN_DUE,
            parked=parked,
            reason=reason,
        )
    if not mine:
        reason = "it does not hold the Lease of its account"
        return Diagnosis(silent=expired, process=process, reason=reason)
    return Diagnosis(streaming=True, process=process, relogin_due=status.reason == Reason.RELOGIN_DUE)


def is_leaving(observation: Observation) -> bool:
    """Whether a worker is about to stop: its pod is being deleted, or it reports that it was told to stop.

    A node that shuts down, or a failed liveness probe, ends a process although its pod is not deleted.
    """
    pod, status = observation.pod, observation.shard.status if observation.shard is not None else None
    told = status is not None and status.reason in (Reason.LEAVING, Reason.STOPPED)
    return told or (pod is not None and pod.deleting)


def _older(process_start: str, container_start: datetime | None) -> bool:
    """Whether a status was written by a process that ended before the container's present one began."""
    if not process_start or container_start is None:
        return False
    try:
        return datetime.fromisoformat(process_start) < container_start
    except (ValueError, TypeError):  # not a date, or one without a zone: no reason to lose a worker
        return False
