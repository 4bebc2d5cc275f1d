"""Feeds that die without a word: whose contracts move, and whose stay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_api.shard import Session
from ibfeed_operator.liveness.diagnosis import Observation
from ibfeed_operator.liveness.feed_silence import REPORT_S, UNPROVEN_S
from ibfeed_operator.liveness.tracker import HOLD_S, SESSION_GRACE_S, TOGETHER_S, LivenessTracker
from ibfeed_operator.model.types import Health, Universe
from ibfeed_operator.planning.assignment import decide
from ibfeed_operator.planning.handover_state import Holding
from support.build import contract, entry, feed, lease, pod, shard

SILENT = {"session": Session.RECONNECTING, "reason": "FeedSilent"}


def seen(worker: int, *conids: int, tick: str = "", **status: Any) -> Observation:
    """``tick``: when the worker says that its latest one came."""
    there = shard(worker, *(entry(conid) for conid in conids), last_tick_time=tick or None, **status)
    return Observation(index=worker, shard=there, pod=pod(worker), lease=lease(worker))


class Judged:
    def __init__(self) -> None:
        self.liveness = LivenessTracker()

    def state(self, worker: int, *observations: Observation, now: float) -> Health:
        verdicts = self.liveness.assess({observation.index: observation for observation in observations}, now)
        return verdicts[worker].health.state


def test_who_alone_is_deaf_loses_its_contracts_after_the_grace() -> None:
    judged = Judged()
    judged.state(0, seen(0, 1, tick="a"), seen(1, 2, tick="a"), now=0.0)
    judged.state(0, seen(0, 1, tick="a"), seen(1, 2, tick="b"), now=95.0)
    deaf = seen(0, 1, tick="a", **SILENT)
    assert judged.state(0, deaf, seen(1, 2, tick="b"), now=100.0) is Health.RETURNING
    assert judged.state(0, deaf, seen(1, 2, tick="b"), now=100.0 + SESSION_GRACE_S - 0.1) is Health.RETURNING
    assert judged.state(0, deaf, seen(1, 2, tick="b"), now=100.0 + SESSION_GRACE_S) is Health.LOST


def test_who_is_deaf_like_everybody_keeps_its_contracts_until_somebody_hears_again() -> None:
    judged = Judged()
    judged.state(0, seen(0, 1, tick="a"), seen(1, 2, tick="a"), now=0.0)
    judged.state(0, seen(0, 1, tick="b"), seen(1, 2, tick="b"), now=100.0 - REPORT_S - 1)
    deaf = seen(0, 1, tick="b", **SILENT)
    for now in (100.0, 200.0, 100.0 + 2 * HOLD_S):
        assert judged.state(0, deaf, seen(1, 2, tick="b"), now=now) is Health.RETURNING
    assert judged.state(0, deaf, seen(1, 2, tick="c"), now=101.0 + 2 * HOLD_S) is Health.LOST


def test_what_a_new_operator_reads_first_may_be_old() -> None:
    judged = Judged()
    deaf = seen(0, 1, **SILENT)
    for now in (0.0, 60.0):
        assert judged.state(0, deaf, seen(1, 2, tick="old"), now=now) is Health.RETURNING
    assert judged.state(0, deaf, seen(1, 2, tick="new"), now=62.0) is Health.LOST


def test_the_first_that_hears_again_leaves_the_others_their_contracts_for_a_minute() -> None:
    judged = Judged()
    all_deaf = [seen(worker, worker, tick="a", **SILENT) for worker in (0, 1, 2)]
    for now in (0.0, 2 * HOLD_S):
        assert judged.state(0, *all_deaf, now=now) is Health.RETURNING
    back = seen(2, 2, tick="b")
    assert judged.state(0, *all_deaf[:2], back, now=10.0) is Health.RETURNING
    assert judged.state(0, *all_deaf[:2], back, now=10.0 + TOGETHER_S - 1) is Health.RETURNING
    assert judged.state(0, *all_deaf[:2], back, now=10.0 + TOGETHER_S) is Health.LOST


def test_two_of_three_that_are_deaf_lose_their_contracts_to_the_one_that_is_not() -> None:
    judged = Judged()
    two = [seen(worker, worker, tick="a", **SILENT) for worker in (0, 1)]
    judged.state(0, *two, seen(2, 2, tick="a"), now=0.0)
    assert judged.state(0, *two, seen(2, 2, tick="b"), now=SESSION_GRACE_S) is Health.LOST


def test_a_worker_without_contracts_may_try_once_and_not_again_soon() -> None:
    judged = Judged()
    assert judged.state(0, seen(0, 1, **SILENT), seen(1), now=0.0) is Health.RETURNING
    assert judged.state(0, seen(0, 1, **SILENT), seen(1), now=SESSION_GRACE_S) is Health.LOST
    there = [seen(0), seen(1, 1, **SILENT)]  # it has none now, and counts as streaming; the other one is as deaf
    for now in (60.0, 60.0 + UNPROVEN_S - 1):
        assert judged.state(1, *there, now=now) is Health.RETURNING
    assert judged.state(1, *there, now=60.0 + UNPROVEN_S) is Health.LOST


def test_who_came_back_without_a_word_is_given_nothing_for_a_while() -> None:
    liveness, others = LivenessTracker(), {1: seen(1, 2), 2: seen(2, 3)}

    def on_probation(observation: Observation, now: float) -> bool:
        return bool(liveness.assess({0: observation, **others}, now)[0].health.probation)

    assert not on_probation(seen(0, 1, tick="a"), 0.0)
    assert not on_probation(seen(0, 1, tick="a", **SILENT), 1.0)
    assert on_probation(seen(0, tick="a"), 60.0)
    assert on_probation(seen(0, tick="a"), 60.0 + UNPROVEN_S - 1)
    assert not on_probation(seen(0, tick="a"), 60.0 + UNPROVEN_S)
    assert not on_probation(seen(0, tick="a", **SILENT), 1000.0)
    assert not on_probation(seen(0, tick="b"), 1060.0)


def test_who_spoke_again_may_be_tried_at_once() -> None:
    judged = Judged()
    judged.state(0, seen(0, 1, tick="a", **SILENT), seen(1), now=0.0)
    judged.state(0, seen(0, 1, tick="b"), seen(1), now=3.0)
    there = [seen(0, tick="b"), seen(1, 1, **SILENT)]
    judged.state(1, *there, now=60.0)
    assert judged.state(1, *there, now=60.0 + SESSION_GRACE_S) is Health.LOST


def test_the_login_that_is_to_mend_a_silent_feed_changes_nothing_and_its_failure_does() -> None:
    judged = Judged()
    others = [seen(worker, worker, tick="a") for worker in (1, 2)]
    judged.state(0, seen(0, 1, **SILENT), *others, now=0.0)
    assert judged.state(0, seen(0, 1, session=Session.LOGGING_IN), *others, now=60.0) is Health.RETURNING
    failed = seen(0, 1, session=Session.BACKING_OFF, reason="LoginFailed")
    assert judged.state(0, failed, *others, now=70.0) is Health.LOST


def test_who_is_deaf_like_everybody_and_may_not_even_ask_ib_keeps_its_contracts_too() -> None:
    judged = Judged()
    judged.state(0, seen(0, 1, tick="a"), seen(1, 2, tick="a"), now=0.0)
    judged.state(0, seen(0, 1, tick="a", **SILENT), seen(1, 2, tick="a"), now=100.0)
    penalised = seen(0, 1, tick="a", session=Session.BACKING_OFF, reason="PenaltyBox")
    for now in (101.0, 101.0 + SESSION_GRACE_S, 600.0):
        assert judged.state(0, penalised, seen(1, 2, tick="a"), now=now) is Health.RETURNING
    assert judged.state(0, penalised, seen(1, 2, tick="b"), now=601.0) is Health.LOST


def test_the_penalty_box_alone_is_no_silence() -> None:
    judged = Judged()
    judged.state(0, seen(0, 1, tick="a"), seen(1, 2, tick="a"), now=0.0)
    lost = seen(0, 1, tick="a", session=Session.BACKING_OFF, reason="PenaltyBox")
    assert judged.state(0, lost, seen(1, 2, tick="a"), seen(2, 3, tick="a"), now=1.0) is Health.RETURNING
    assert judged.state(0, lost, seen(1, 2, tick="a"), seen(2, 3, tick="a"), now=1.0 + SESSION_GRACE_S) is Health.LOST


# Any workers' feeds die and come back at any time.

WORKERS, CONTRACTS = 4, 8
NOTICED_S = 90.0  # what a worker needs to find its feed silent
STEP_S = 5.0


@dataclass
class World:
    """Workers as docs/architecture/liveness.md says.

    A lost worker loses its contracts at once to where ``decide``
    says. A planned move takes place once the new worker hears the contract. ``quiet``: since when each has, or would
    have, heard nothing.
    """

    dead: set[int] = field(default_factory=set)
    now: float = 0.0
    owners: dict[int, int] = field(default_factory=dict)
    quiet: dict[int, float] = field(default_factory=lambda: dict.fromkeys(range(WORKERS), 0.0))
    ticks: dict[int, float] = field(default_factory=lambda: dict.fromkeys(range(WORKERS), 0.0))
    liveness: LivenessTracker = field(default_factory=LivenessTracker)
    moves: int = 0

    def held(self, worker: int) -> list[int]:
        return [conid for conid, owner in self.owners.items() if owner == worker]

    def observation(self, worker: int) -> Observation:
        held = self.held(worker)
        if worker not in self.dead or not held:
            self.quiet[worker] = self.now
        if worker not in self.dead and held:
            self.ticks[worker] = self.now
        deaf = self.now - self.quiet[worker] > NOTICED_S
        return seen(worker, *held, tick=str(self.ticks[worker] // REPORT_S), **(SILENT if deaf else {}))

    def live(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += STEP_S
            verdicts = self.liveness.assess({worker: self.observation(worker) for worker in range(WORKERS)}, self.now)
            entries = {worker: tuple(entry(conid) for conid in self.held(worker)) for worker in range(WORKERS)}
            holdings = [Holding(worker=worker, entries=entries[worker]) for worker in range(WORKERS)]
            owners = decide(feed(workers=WORKERS), UNIVERSE, holdings, verdicts).targets.owners
            for conid, goal in owners.items():
                old = self.owners.get(conid, goal)
                if old != goal and (goal not in self.dead or verdicts[old].health.state is Health.LOST):
                    self.moves += 1
                    self.owners[conid] = goal
                self.owners.setdefault(conid, goal)


UNIVERSE = Universe(contracts=tuple(contract(conid) for conid in range(CONTRACTS)), resolved=True)


@settings(deadline=None, max_examples=8)
@given(
    dead=st.sets(st.integers(0, WORKERS - 1), min_size=1, max_size=WORKERS - 1),
    first=st.integers(0, WORKERS - 1),
    between_s=st.integers(1, 200),
)
def test_no_contract_stays_with_a_dead_feed_while_another_one_lives(dead: set[int], first: int, between_s: int) -> None:
    world = World()
    world.live(30)
    world.dead = dead & {first}
    world.live(between_s)
    world.dead = dead
    # Who is given contracts of a dead feed may be as dead, and so on.
    world.live(len(dead) * (NOTICED_S + SESSION_GRACE_S + REPORT_S + STEP_S))
    assert [owner for owner in world.owners.values() if owner in dead] == []
    assert len(world.owners) == CONTRACTS


@settings(deadline=None, max_examples=8)
@given(earlier_s=st.lists(st.integers(0, int(NOTICED_S - REPORT_S)), min_size=WORKERS, max_size=WORKERS))
def test_while_ib_sends_nothing_to_anybody_nothing_moves(earlier_s: list[int]) -> None:
    """Whoever finds that out first. ``earlier_s``: how long its contracts had been quiet before."""
    world = World()
    world.live(30)
    world.dead = set(range(WORKERS))
    for worker, quiet_s in enumerate(earlier_s):
        world.quiet[worker] -= quiet_s
    world.live(HOLD_S + 60)
    assert world.moves == 0
