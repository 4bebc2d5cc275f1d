"""The health of a feed's workers over time. docs/architecture/liveness.md has the rules.

Five states are told apart, since they allow different actions:

- *leaving*: it was told to stop. It streams until the planner has handed its contracts over.
- *silent*: no process of this worker can be publishing. Its contracts may be given away without a release.
- *lost*: the planner gives its contracts to others. Unless it is silent, the worker is asked to release them first.
- *relieved*: it streams, asked for its scheduled login, and is treated as leaving for that, one of a feed at a time.
- *returning*: it keeps its contracts for a while, for one of the reasons below.

A worker is returning when

- its process lost its session moments ago, or gave it up on schedule;
- most workers lost their sessions together: that is IB's daily reset or maintenance, and a move helps no contract;
- all workers were down and come back one by one (a resumed feed, a node that was restarted);
- its feed is silent, and no other worker is seen to receive anything either (``feed_silence.py``).

A worker that streams may be *on probation*: it is not given contracts yet. Either it was lost repeatedly
(``probation.py``), or its feed was silent and no tick has come since. A worker that has not shown that it can publish
is given no contracts either. The contracts that it has go to others, if those can publish (``publishing.py``).

Ages are measured by the operator's own monotonic clock, which the caller passes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from ibfeed_api.lease import TAKEOVER_S
from ibfeed_operator.liveness.diagnosis import Diagnosis, Observation, diagnose, is_leaving
from ibfeed_operator.liveness.feed_silence import UNPROVEN, FeedSilenceTracker
from ibfeed_operator.liveness.probation import Probation
from ibfeed_operator.liveness.publishing import Publishing
from ibfeed_operator.model.types import Health, KafkaAccess, WorkerHealth

SESSION_GRACE_S: Final = 5.0  # most reconnections take less
RELOGIN_GRACE_S: Final = 60.0  # a login takes ten seconds, when it is not one of many
HOLD_S: Final = 600.0  # how long a mass loss keeps contracts where they are; IB's daily reset takes minutes
# After each return the workers that are still down keep their contracts for so long: logins queue for login slots.
TOGETHER_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The health of one worker, and what that allows the planner to do."""

    health: WorkerHealth
    silent: bool
    held: bool = False  # returning because most workers lost their sessions, or their feeds, together
    relieved: bool = False  # leaving while its scheduled login takes place; its own contracts come back to it


@dataclass(slots=True)
class _Outage:
    """The time that a worker has been without a session. ``since`` is monotonic, in seconds."""

    since: float
    mass: bool = False  # most workers were down
    total: bool = False  # no worker streamed
    died: bool = False  # its process or its session has ended for good; the next one needs a login, which takes seconds
    feed_silent: bool = False  # it has a session or is about to, but IB sends it nothing


class LivenessTracker:
    """The health of one feed's workers over time.

    It remembers since when each worker has been without a session, which process had that session, and recent losses.
    """

    def __init__(self) -> None:
        self._outages: dict[int, _Outage] = {}
        self._processes: dict[int, str] = {}  # when the process that had a session last was started
        self._records: dict[int, Probation] = {}
        self._feed_silence = FeedSilenceTracker()
        self._publishing = Publishing()
        self._most_down = False
        self._last_return: float | None = None  # of a worker that was down together with others

    def assess(self, observations: Mapping[int, Observation], now: float) -> dict[int, Verdict]:
        """Return a verdict for each observation. ``now`` is monotonic, in seconds."""
        diagnoses = {index: diagnose(observation) for index, observation in observations.items()}
        self._feed_silence.observe({index: _last_tick(observation) for index, observation in observations.items()}, now)
        self._follow_outages(diagnoses, now)
        holders = [index for index, observation in observations.items() if observation.holds]
        down = [i for i in holders if not diagnoses[i].has_session and not diagnoses[i].relogging_in]
        self._most_down = 2 * len(down) > len(holders)
        if self._most_down:
            for index in down:
                self._outages[index].mass = True
        if not any(diagnosis.has_session for diagnosis in diagnoses.values()):
            self._last_return = None
            for outage in self._outages.values():
                outage.total = True
        self._publishing.observe({i: _can_publish(observations[i]) for i in diagnoses if diagnoses[i].streaming}, now)
        # A relieved worker drops the records that Kafka has not acknowledged. While Kafka fails, that may be all.
        relieved = None if down or self._publishing.any_fails else _next_to_relieve(observations, diagnoses)
        without_data = {index for index, outage in self._outages.items() if outage.feed_silent}
        alone = {index for index in without_data if self._is_silent_alone(index, observations, diagnoses, now)}
        verdicts = {
            index: self._verdict(observations[index], diagnoses[index], now, alone=index in alone)
            for index in observations
        }
        if relieved is not None:
            health = WorkerHealth(state=Health.LEAVING, reason="it is about to log in again on schedule", renewing=True)
            verdicts[relieved] = Verdict(health=health, silent=False, relieved=True)
        return {index: self._with_probation(observations[index], verdict, now) for index, verdict in verdicts.items()}

    def _follow_outages(self, diagnoses: Mapping[int, Diagnosis], now: float) -> None:
        """Begin, continue and end the outages; forget workers that are gone."""
        for index in list(self._outages):
            if index not in diagnoses:
                del self._outages[index]
            elif diagnoses[index].has_session:
                outage = self._outages.pop(index)
                if outage.feed_silent and not self._feed_silence.has_ticked_since(index, outage.since):
                    self._feed_silence.mark_unproven(index, now)
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
                outage.feed_silent = diagnosis.feed_silent or (outage.feed_silent and not diagnosis.troubled)

    def next_change_s(self, observations: Mapping[int, Observation], now: float) -> float:
        """Return the seconds until a verdict may change although nothing happens, for the caller's timer."""
        outages = self._outages.values()
        ends = [grace - (now - outage.since) for outage in outages for grace in (SESSION_GRACE_S, RELOGIN_GRACE_S)]
        ends += [record.left_s(now) for record in self._records.values()]
        ends += self._publishing.next_change_s(now)
        ends += [TOGETHER_S - (now - self._last_return)] if self._last_return is not None else []
        ends += [
            TAKEOVER_S - observation.lease.renew_seen_age_s
            for observation in observations.values()
            if observation.lease
        ]
        return min((end for end in ends if end > 0), default=TAKEOVER_S)

    def _is_silent_alone(
        self, index: int, observations: Mapping[int, Observation], diagnoses: Mapping[int, Diagnosis], now: float
    ) -> bool:
        """Whether the silence is this worker's own.

        It is, if another worker has ticks meanwhile, or if no other holds contracts and one of them could try.
        """
        others = [other for other in observations if other != index]
        with_session = [other for other in others if diagnoses[other].has_session]
        if any(self._feed_silence.has_ticked_since(other, self._outages[index].since) for other in with_session):
            return True
        if any(observations[other].holds for other in others):
            return False
        return any(not self._feed_silence.is_unproven(other, now) for other in with_session)

    def _verdict(self, observation: Observation, diagnosis: Diagnosis, now: float, *, alone: bool) -> Verdict:
        """Return the verdict on one worker. ``alone``: its feed is silent, and that is not IB's silence."""
        outage = self._outages.get(observation.index)
        lasted = now - outage.since if outage is not None else 0.0
        lends = observation.shard is not None and bool(observation.shard.spec.home)
        renewing = (diagnosis.streaming and lends) or (diagnosis.relogging_in and lasted < RELOGIN_GRACE_S)

        def verdict(state: Health, *, held: bool = False) -> Verdict:
            health = WorkerHealth(state=state, reason=diagnosis.reason, renewing=renewing)
            return Verdict(health=health, silent=diagnosis.silent, held=held)

        if diagnosis.streaming:
            return verdict(Health.STREAMING)
        if diagnosis.leaving:
            return verdict(Health.LEAVING)
        if outage is None or not observation.holds:
            return verdict(Health.ABSENT if observation.pod is None else Health.STARTING)
        others_return = self._last_return is not None and now - self._last_return < TOGETHER_S
        if outage.total and not diagnosis.parked and others_return:
            return verdict(Health.RETURNING, held=True)
        if outage.died or not diagnosis.repairing:
            return verdict(Health.LOST)
        if outage.feed_silent and not alone:
            return verdict(Health.RETURNING, held=outage.mass)
        most_down = self._most_down and not outage.feed_silent
        if outage.mass and lasted < HOLD_S and (most_down or others_return):
            return verdict(Health.RETURNING, held=True)
        grace = RELOGIN_GRACE_S if diagnosis.relogging_in else SESSION_GRACE_S
        return verdict(Health.RETURNING if lasted < grace else Health.LOST)

    def _with_probation(self, observation: Observation, verdict: Verdict, now: float) -> Verdict:
        """Return the verdict with its Kafka access, and with the reason if it may not be given contracts yet."""
        index, pod, streams = observation.index, observation.pod, verdict.health.streaming
        if streams:
            verdict = replace(verdict, health=replace(verdict.health, kafka=self._publishing.access(index, now)))
        cut_off = verdict.health.kafka is KafkaAccess.CUT_OFF
        if pod is None:
            self._records.pop(index, None)
            return verdict
        record = self._records.get(index)
        if record is None or record.pod != pod.uid:
            trusted = streams and observation.holds
            record = Probation.begun(pod.uid, restarts=pod.restart_count, trusted=trusted, now=now)
            self._records[index] = record
        # A worker that was told to stop is not at fault.
        lost = verdict.health.state is Health.LOST and not is_leaving(observation)
        record.observe(streams=streams and not cut_off, lost=lost or cut_off, now=now)
        if streams and record.left_s(now):
            return replace(verdict, health=replace(verdict.health, probation=record.text))
        if streams and self._feed_silence.is_unproven(index, now):
            return replace(verdict, health=replace(verdict.health, probation=UNPROVEN))
        return verdict


def _can_publish(observation: Observation) -> bool:
    status = observation.shard.status if observation.shard is not None else None
    return status is not None and status.kafka is not None and status.kafka.reachable is True


def _last_tick(observation: Observation) -> str | None:
    status = observation.shard.status if observation.shard is not None else None
    return status.last_tick_time if status is not None else None


def _next_to_relieve(observations: Mapping[int, Observation], diagnoses: Mapping[int, Diagnosis]) -> int | None:
    """Return the worker that may take its scheduled login now. They go one at a time; one that has begun goes first."""
    if any(diagnosis.relogging_in for diagnosis in diagnoses.values()):
        return None
    due = [index for index, diagnosis in diagnoses.items() if diagnosis.relogin_due]

    def rank(index: int) -> tuple[bool, int]:
        shard = observations[index].shard
        return (shard is None or not shard.spec.home, index)

    return min(due, key=rank, default=None)
