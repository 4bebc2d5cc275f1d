"""Who is alive: from shard, pod and Lease to one verdict per worker. See "Who is alive" in docs/architecture.md.

Five things are told apart, since they allow different things:

- *leaving*: it was told to stop, and streams until its contracts are handed over, which the planner sees to;
- *silent*: no process of this worker can be publishing; its contracts may be given away without being asked for;
- *lost*: the planner gives its contracts to others; unless silent, the worker is asked to release them first;
- *relieved*: it streams and asks to log in anew on schedule; one of a feed at a time is treated as leaving until then;
- *returning*: its process lost its session moments ago, or gave it up on schedule, or most workers lost theirs together
  (then it is IB's daily reset or maintenance, and moving contracts about helps nobody), or all were down and come back
  one by one (a resumed feed, a node that was started again): it keeps its contracts for a while. So does one whose
  feed is silent, for as long as nobody else is seen to hear anything either (``hearing.py``).

A worker that streams may be *settling*: it was lost again and again (``trust.py``), or its feed was silent and nothing
has shown yet that it is not, so it is not given contracts yet. Nor is one that has not shown that it can publish; and
what it has goes to others, if they can (``publishing.py``).

Ages are measured by the operator's own monotonic clock, which the caller passes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from ibfeed_api.names import Reason, Session
from ibfeed_operator.facts import AccountLease, Health, KafkaAccess, Pod, Shard, WorkerHealth
from ibfeed_operator.hearing import DOUBT, Hearing
from ibfeed_operator.publishing import Publishing
from ibfeed_operator.trust import Record

LEASE_EXPIRY_S: Final = 10.0  # a worker stops by itself after 8 s without a renewal
SESSION_GRACE_S: Final = 5.0  # most reconnections take less
RELOGIN_GRACE_S: Final = 60.0  # a login takes ten seconds, when it is not one of many
HOLD_S: Final = 600.0  # how long a mass loss keeps contracts where they are; IB's daily reset takes minutes
TOGETHER_S: Final = 60.0  # who is back leaves the others their contracts as long after each return; see login turns

# Who backs off for one of these is back after a login at the earliest, ten seconds or ten minutes later: no grace is
# long enough. A worker that takes its session back from somebody else (accounts.compete) needs a second.
_FAR_FROM_BACK: Final = frozenset({Reason.COMPETING, Reason.GATEWAY_DIED, Reason.GATEWAY_SICK})
# Who says these has found nothing else than that its feed is silent. In the penalty box it may not even ask.
_NOTHING_NEW: Final = frozenset({"", Reason.FEED_SILENT, Reason.PENALTY_BOX})
# A session in these is being repaired; in any other that is not Streaming, nothing of IB's making is going on.
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
class Sighting:
    """What the cluster says of one worker. ``lease`` is that of the account which its shard names."""

    index: int
    shard: Shard | None = None
    pod: Pod | None = None
    lease: AccountLease | None = None

    @property
    def holds(self) -> bool:
        return self.shard is not None and bool(self.shard.spec.contracts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    health: WorkerHealth
    silent: bool
    held: bool = False  # returning because most workers lost their sessions, or their feeds, together
    relieved: bool = False  # leaving for as long as its scheduled login takes; what is its own comes back to it


class LeaseObserver:
    """Remembers when each Lease was last seen to change. Holders' timestamps are never compared with our clock."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[str, float]] = {}

    def age(self, namespace: str, name: str, resource_version: str, now: float) -> float:
        """Seconds since the Lease was last seen to change; 0.0 at first sight."""
        key = (namespace, name)
        version, since = self._seen.get(key, ("", now))
        if version != resource_version:
            since = now
            self._seen[key] = (resource_version, now)
        return max(0.0, now - since)

    def forget(self, namespace: str, name: str) -> None:
        self._seen.pop((namespace, name), None)


@dataclass(slots=True)
class _Outage:
    since: float
    mass: bool = False  # most were down
    total: bool = False  # nobody streamed
    died: bool = False  # its process has ended, or its session for good: a login takes seconds, and repairs nothing
    mute: bool = False  # it has a session or is about to, but IB sends it nothing


class Liveness:
    """Judges the workers of one feed. Remembers since when each has been without a session, and whose that was; and who
    was lost lately."""

    def __init__(self) -> None:
        self._outages: dict[int, _Outage] = {}
        self._processes: dict[int, str] = {}  # start of the process that had a session last
        self._records: dict[int, Record] = {}
        self._hearing = Hearing()
        self._publishing = Publishing()
        self._most_down = False
        self._last_return: float | None = None  # of a worker that was down together with others

    def judge(self, sightings: Mapping[int, Sighting], now: float) -> dict[int, Verdict]:
        """Return a verdict for each sighting. ``now`` is monotonic, in seconds."""
        diagnoses = {index: _diagnose(sighting) for index, sighting in sightings.items()}
        self._hearing.see({index: _last_tick(sighting) for index, sighting in sightings.items()}, now)
        for index in list(self._outages):
            if index not in diagnoses:
                del self._outages[index]
            elif diagnoses[index].has_session:
                outage = self._outages.pop(index)
                if outage.mute and not self._hearing.hears(index, outage.since):
                    self._hearing.doubt(index, now)
                self._last_return = now if outage.mass or outage.total else self._last_return
        for index in self._processes.keys() - diagnoses.keys():
            del self._processes[index]
        for index in self._records.keys() - diagnoses.keys():
            del self._records[index]
        for index, diagnosis in diagnoses.items():
            if diagnosis.has_session:
                self._processes[index] = diagnosis.process
            else:
                outage = self._outages.setdefault(index, _Outage(since=now))
                replaced = self._processes.get(index, diagnosis.process) != diagnosis.process
                outage.died = outage.died or diagnosis.dead or diagnosis.far_from_back or replaced
                outage.mute = diagnosis.mute or (outage.mute and not diagnosis.troubled)
        holders = [index for index, sighting in sightings.items() if sighting.holds]
        down = [i for i in holders if not diagnoses[i].has_session and not diagnoses[i].logging_in_anew]
        self._most_down = 2 * len(down) > len(holders)
        if self._most_down:
            for index in down:
                self._outages[index].mass = True
        if not any(diagnosis.has_session for diagnosis in diagnoses.values()):
            self._last_return = None
            for outage in self._outages.values():
                outage.total = True
        self._publishing.see({i: _can_publish(sightings[i]) for i in diagnoses if diagnoses[i].streaming}, now)
        # A worker that is relieved lets go of what Kafka has not acknowledged: not while that may be everything.
        relieved = None if down or self._publishing.any_fails else _next_to_relieve(sightings, diagnoses)
        mute = {index for index, outage in self._outages.items() if outage.mute}
        deaf = {index for index in mute if self._is_deaf_alone(index, sightings, diagnoses, now)}
        verdicts = {
            index: self._verdict(sightings[index], diagnoses[index], now, alone=index in deaf) for index in sightings
        }
        if relieved is not None:
            health = WorkerHealth(state=Health.LEAVING, reason="it is about to log in again on schedule", renewing=True)
            verdicts[relieved] = Verdict(health=health, silent=False, relieved=True)
        return {index: self._settle(sightings[index], verdict, now) for index, verdict in verdicts.items()}

    def next_change_s(self, sightings: Mapping[int, Sighting], now: float) -> float:
        """Seconds until a verdict may change although nothing happens, for the caller's timer."""
        outages = self._outages.values()
        ends = [grace - (now - outage.since) for outage in outages for grace in (SESSION_GRACE_S, RELOGIN_GRACE_S)]
        ends += [record.left_s(now) for record in self._records.values()]
        ends += self._publishing.next_change_s(now)
        ends += [TOGETHER_S - (now - self._last_return)] if self._last_return is not None else []
        ends += [LEASE_EXPIRY_S - sighting.lease.renew_seen_age_s for sighting in sightings.values() if sighting.lease]
        return min((end for end in ends if end > 0), default=LEASE_EXPIRY_S)

    def _is_deaf_alone(
        self, index: int, sightings: Mapping[int, Sighting], diagnoses: Mapping[int, _Diagnosis], now: float
    ) -> bool:
        """Whether another worker hears IB meanwhile; or nobody else had anything to hear, and one could try."""
        others = [other for other in sightings if other != index]
        with_session = [other for other in others if diagnoses[other].has_session]
        if any(self._hearing.hears(other, self._outages[index].since) for other in with_session):
            return True
        if any(sightings[other].holds for other in others):
            return False
        return any(not self._hearing.doubted(other, now) for other in with_session)

    def _verdict(self, sighting: Sighting, diagnosis: _Diagnosis, now: float, *, alone: bool) -> Verdict:
        """``alone``: if its feed is silent, that is its own, and not IB's."""
        outage = self._outages.get(sighting.index)
        lasted = now - outage.since if outage is not None else 0.0
        lends = sighting.shard is not None and bool(sighting.shard.spec.home)
        renewing = (diagnosis.streaming and lends) or (diagnosis.logging_in_anew and lasted < RELOGIN_GRACE_S)

        def verdict(state: Health, *, held: bool = False) -> Verdict:
            health = WorkerHealth(state=state, reason=diagnosis.reason, renewing=renewing)
            return Verdict(health=health, silent=diagnosis.silent, held=held)

        if diagnosis.streaming:
            return verdict(Health.STREAMING)
        if diagnosis.leaving:
            return verdict(Health.LEAVING)
        if outage is None or not sighting.holds:
            return verdict(Health.ABSENT if sighting.pod is None else Health.STARTING)
        others_return = self._last_return is not None and now - self._last_return < TOGETHER_S
        if outage.total and not diagnosis.parked and others_return:
            return verdict(Health.RETURNING, held=True)
        if outage.died or not diagnosis.repairing:
            return verdict(Health.LOST)
        if outage.mute and not alone:
            return verdict(Health.RETURNING, held=outage.mass)
        most_down = self._most_down and not outage.mute
        if outage.mass and lasted < HOLD_S and (most_down or others_return):
            return verdict(Health.RETURNING, held=True)
        grace = RELOGIN_GRACE_S if diagnosis.logging_in_anew else SESSION_GRACE_S
        return verdict(Health.RETURNING if lasted < grace else Health.LOST)

    def _settle(self, sighting: Sighting, verdict: Verdict, now: float) -> Verdict:
        """Mark who says that it streams, but is not to be given contracts yet."""
        index, pod, streams = sighting.index, sighting.pod, verdict.health.streaming
        if streams:
            verdict = replace(verdict, health=replace(verdict.health, kafka=self._publishing.access(index, now)))
        cut_off = verdict.health.kafka is KafkaAccess.CUT_OFF
        if pod is None:
            self._records.pop(index, None)
            return verdict
        record = self._records.get(index)
        if record is None or record.pod != pod.uid:
            trusted = streams and sighting.holds
            record = Record.begun(pod.uid, restarts=pod.restart_count, trusted=trusted, now=now)
            self._records[index] = record
        lost = verdict.health.state is Health.LOST and not is_leaving(sighting)  # who was told to go is not at fault
        record.see(streams=streams and not cut_off, lost=lost or cut_off, now=now)
        if streams and record.left_s(now):
            return replace(verdict, health=replace(verdict.health, settling=record.text))
        if streams and self._hearing.doubted(index, now):
            return replace(verdict, health=replace(verdict.health, settling=DOUBT))
        return verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Diagnosis:
    streaming: bool = False
    leaving: bool = False  # streaming for as long as its contracts are being handed over
    silent: bool = False
    dead: bool = False
    process: str = ""  # start of the process that has reported last
    repairing: bool = False
    far_from_back: bool = False  # as it says: what it does about its session takes longer than the grace
    mute: bool = False  # as it says: it would stream if IB sent anything
    troubled: bool = False  # it says that something else is wrong
    relogin_due: bool = False  # streaming, and would log in anew if it were relieved
    logging_in_anew: bool = False  # it has been
    parked: bool = False
    reason: str = ""

    @property
    def has_session(self) -> bool:
        return self.streaming or self.leaving


def _diagnose(sighting: Sighting) -> _Diagnosis:
    """What this moment's facts say, without memory."""
    pod, shard, lease = sighting.pod, sighting.shard, sighting.lease
    if pod is None:
        return _Diagnosis(silent=True, dead=True, reason="it has no pod")
    if not pod.container_running:
        waiting = f": {pod.waiting_reason}" if pod.waiting_reason else ""
        return _Diagnosis(silent=True, dead=True, reason=f"its container does not run{waiting}")
    if shard is None or shard.status is None:
        return _Diagnosis(silent=shard is not None, reason="its worker has not reported yet")
    status, process = shard.status, shard.status.started_at
    if _older(status.started_at, pod.container_started_at):
        return _Diagnosis(silent=True, dead=True, reason="its container was started again")
    mine = lease is not None and lease.holder == f"{pod.name}_{pod.uid}"
    # Who has not renewed for 10 s has stopped by itself; who has not held it for as long, has not been logged in.
    expired = lease is not None and lease.renew_seen_age_s >= LEASE_EXPIRY_S
    if lease is not None and mine and expired:
        return _Diagnosis(silent=True, process=process, reason=f"it no longer renews Lease {lease.name}")
    if is_leaving(sighting):
        why = "its pod is being deleted" if pod.deleting else "it was told to stop"
        leaving = mine and status.session is Session.STREAMING
        return _Diagnosis(silent=expired, process=process, leaving=leaving, reason=why)
    if status.session is not Session.STREAMING:
        reason = status.message or f"its session is {status.session}"
        parked = status.session is Session.PARKED
        repairing = status.session in _REPAIRING
        return _Diagnosis(
            silent=expired,
            process=process,
            repairing=repairing,
            far_from_back=status.session is Session.BACKING_OFF and status.reason in _FAR_FROM_BACK,
            mute=repairing and status.reason == Reason.FEED_SILENT,
            troubled=not repairing or status.reason not in _NOTHING_NEW,
            logging_in_anew=repairing and status.reason == Reason.RELOGIN_DUE,
            parked=parked,
            reason=reason,
        )
    if not mine:
        reason = "it does not hold the Lease of its account"
        return _Diagnosis(silent=expired, process=process, reason=reason)
    return _Diagnosis(streaming=True, process=process, relogin_due=status.reason == Reason.RELOGIN_DUE)


def _can_publish(sighting: Sighting) -> bool:
    status = sighting.shard.status if sighting.shard is not None else None
    return status is not None and status.kafka is not None and status.kafka.reachable is True


def _last_tick(sighting: Sighting) -> str | None:
    status = sighting.shard.status if sighting.shard is not None else None
    return status.last_tick_time if status is not None else None


def _next_to_relieve(sightings: Mapping[int, Sighting], diagnoses: Mapping[int, _Diagnosis]) -> int | None:
    """Of the workers that would log in anew the one whose turn it is: one after the other, who has begun goes first."""
    if any(diagnosis.logging_in_anew for diagnosis in diagnoses.values()):
        return None
    due = [index for index, diagnosis in diagnoses.items() if diagnosis.relogin_due]

    def rank(index: int) -> tuple[bool, int]:
        shard = sightings[index].shard
        return (shard is None or not shard.spec.home, index)

    return min(due, key=rank, default=None)


def is_leaving(sighting: Sighting) -> bool:
    """Whether a worker is about to stop: its pod is being deleted, or it says itself that it was told to.

    A node that shuts down, or a failed liveness probe, ends a process without anybody deleting its pod.
    """
    pod, status = sighting.pod, sighting.shard.status if sighting.shard is not None else None
    told = status is not None and status.reason in (Reason.LEAVING, Reason.STOPPED)
    return told or (pod is not None and pod.deleting)


def _older(process_start: str, container_start: datetime | None) -> bool:
    """Whether a status was written by a process that ended before the container's present one began."""
    if not process_start or container_start is None:
        return False
    try:
        return datetime.fromisoformat(process_start) < container_start
    except (ValueError, TypeError):  # no such date, or one without a zone: not a reason to lose a worker
        return False
