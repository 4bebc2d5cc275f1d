"""A worker that bounces: how often its contracts move."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_api.shard import Session
from ibfeed_operator.liveness.diagnosis import Observation
from ibfeed_operator.liveness.probation import FIRST_S, FORGET_S, MOST_S, probation_s
from ibfeed_operator.liveness.tracker import SESSION_GRACE_S, LivenessTracker, Verdict
from ibfeed_operator.model.types import Health, Universe
from ibfeed_operator.planning.assignment import decide
from ibfeed_operator.planning.handover_state import Holding
from support.build import contract, entry, feed, lease, pod, shard

CONTRACTS = 12


@dataclass
class World:
    """Three workers; their contracts go where ``decide`` says, at once. ``down``: how a worker is without session."""

    workers: int = 3
    now: float = 0.0
    down: dict[int, str] = field(default_factory=dict)
    restarts: dict[int, int] = field(default_factory=dict)
    owners: dict[int, int] = field(default_factory=dict)
    liveness: LivenessTracker = field(default_factory=LivenessTracker)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    moves: int = 0
    losses: int = 0  # of a worker that had contracts

    def __post_init__(self) -> None:
        self.look()

    def held(self, worker: int) -> list[int]:
        return [conid for conid, owner in self.owners.items() if owner == worker]

    def observation(self, worker: int) -> Observation:
        how = self.down.get(worker)
        session = Session.RECONNECTING if how == "session" else Session.STREAMING
        return Observation(
            index=worker,
            shard=shard(worker, *(entry(conid) for conid in self.held(worker)), session=session),
            pod=pod(worker, container_running=how != "crash", restart_count=self.restarts.get(worker, 0)),
            lease=lease(worker),
        )

    def look(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.verdicts = self.liveness.assess({w: self.observation(w) for w in range(self.workers)}, self.now)
        holdings = [
            Holding(worker=worker, entries=tuple(entry(conid) for conid in self.held(worker)))
            for worker in range(self.workers)
        ]
        universe = Universe(contracts=tuple(contract(conid) for conid in range(CONTRACTS)), resolved=True)
        self.losses += sum(
            verdict.health.state is Health.LOST and bool(self.held(worker)) for worker, verdict in self.verdicts.items()
        )
        after = dict(decide(feed(workers=self.workers), universe, holdings, self.verdicts).targets.owners)
        self.moves += sum(after.get(conid) != owner for conid, owner in self.owners.items())
        self.owners = after

    def crash(self, worker: int, *, back_after: float = 15.0) -> None:
        self.down[worker] = "crash"
        self.look()
        self.restarts[worker] = self.restarts.get(worker, 0) + 1
        del self.down[worker]
        self.now += back_after
        self.look()

    def loads(self) -> list[int]:
        return [len(self.held(worker)) for worker in range(self.workers)]


def test_after_one_crash_all_is_given_back_at_once() -> None:
    world = World()
    world.crash(1)
    assert world.loads() == [4, 4, 4]
    assert world.moves == 8


def test_the_second_crash_within_the_hour_costs_half_a_minute_and_each_further_one_twice_as_much() -> None:
    world = World()
    world.crash(1)
    for wait in (FIRST_S, 2 * FIRST_S, 4 * FIRST_S):
        world.look(60)
        world.crash(1)
        assert world.loads()[1] == 0
        assert f"once it has streamed for {wait:g} s" in world.verdicts[1].health.probation
        assert world.verdicts[1].health.streaming
        world.look(wait - 1)
        assert world.loads()[1] == 0
        world.look(1)
        assert world.loads() == [4, 4, 4]
        assert not world.verdicts[1].health.probation


def test_losses_are_forgotten() -> None:
    world = World()
    world.crash(1)
    world.look(FORGET_S)
    world.crash(1)
    assert world.loads() == [4, 4, 4]


def test_a_crash_each_twenty_seconds_moves_contracts_four_times_in_an_hour() -> None:
    world = World()
    for _ in range(100):
        world.crash(1, back_after=16)
        world.look(20)
    assert world.moves == 4 * 4
    assert world.losses == 2


def test_a_brief_reconnection_makes_nobody_lose_what_it_has() -> None:
    world = World()
    world.crash(1)
    world.crash(1)
    world.look(FIRST_S)
    before = dict(world.owners)
    world.down[1] = "session"
    world.look()
    world.look(SESSION_GRACE_S / 2)
    del world.down[1]
    world.look()
    assert world.verdicts[1].health.probation
    assert world.owners == before


def test_where_nobody_else_is_left_it_has_to_do() -> None:
    world = World()
    for _ in range(3):
        world.crash(1)
    assert world.verdicts[1].health.probation
    world.down |= {0: "crash", 2: "crash"}
    world.look()
    assert world.loads() == [0, 12, 0]


def test_a_pod_that_is_told_to_go_is_not_at_fault_and_a_new_one_starts_anew() -> None:
    liveness = LivenessTracker()
    others = {w: Observation(index=w, shard=shard(w, entry(w)), pod=pod(w), lease=lease(w)) for w in (1, 2, 3)}

    def look(now: float, **changes: object) -> Verdict:
        seen = Observation(index=0, shard=shard(0, entry(0)), pod=pod(0, **changes), lease=lease(0))
        return liveness.assess({0: seen} | others, now)[0]

    for now in range(0, 100, 10):
        assert look(now, deleting=True).health.state is Health.LEAVING
        assert look(now + 2, deleting=True, container_running=False).health.state is Health.LOST
        assert not look(now + 5).health.probation
    for now in range(100, 130, 10):
        look(now, container_running=False)
        verdict = look(now + 5)
    assert verdict.health.probation
    fresh = Observation(index=0, shard=shard(0), pod=pod(0, uid="new"), lease=lease(0, holder="energy-0_new"))
    assert not liveness.assess({0: fresh} | others, 140)[0].health.probation


def test_a_new_operator_sees_in_the_cluster_whom_the_old_one_did_not_trust() -> None:
    world = World(restarts={1: 4}, owners={conid: 2 * (conid % 2) for conid in range(CONTRACTS)})
    assert world.loads() == [6, 0, 6]
    world.look(2 * FIRST_S)
    assert world.loads() == [4, 4, 4]
    settled = World(restarts={1: 4}, owners={conid: conid % 3 for conid in range(CONTRACTS)})
    assert not any(verdict.health.probation for verdict in settled.verdicts.values())


STEPS = st.lists(
    st.tuples(st.sampled_from(["crash", "session", "back", "back"]), st.floats(0.1, 400.0)),
    max_size=60,
)


@settings(max_examples=100)
@given(STEPS, st.integers(1, 20))
def test_however_it_bounces_moves_are_few(steps: list[tuple[str, float]], tail: int) -> None:
    """One worker of three bounces: the k-th loss of contracts after the second takes a probation before it."""
    world = World()
    for event, wait in steps:
        if event == "back":
            world.down.pop(1, None)
        else:
            world.down[1] = event
        world.look()
        world.look(SESSION_GRACE_S)
        world.look(wait)
    world.down.clear()
    world.look()
    spent, allowed = 30.0, 2
    while spent <= world.now:
        allowed += 1
        spent += min(900.0, 30.0 * 2.0 ** (allowed - 2))
    assert world.losses <= allowed + int(world.now / FORGET_S) * 2
    assert world.moves <= 2 * 4 * world.losses + 4
    world.look(MOST_S * tail)
    assert world.loads() == [4, 4, 4], "in the end it has its share"


@pytest.mark.parametrize(("losses", "seconds"), [(0, 0), (1, 0), (2, 30), (3, 60), (7, 900), (500, 900)])
def test_probation(losses: int, seconds: float) -> None:
    assert probation_s(losses) == seconds


def test_verdict_of_a_settling_worker_says_so_and_nothing_else() -> None:
    world = World()
    for _ in range(2):
        world.crash(1)
    verdict = world.verdicts[1]
    assert replace(verdict, health=replace(verdict.health, probation="")) == world.verdicts[0]
