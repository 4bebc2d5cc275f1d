"""The plan of standbys against an oracle: which contracts can have one, how even it is, and what moves."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_operator.planning.standbys import StandbyCapacity, StandbyDemand, StandbyPlan, plan_standbys

Case = tuple[list[StandbyDemand], list[StandbyCapacity], dict[int, int], dict[int, str]]


def contracts_of(owners: dict[int, int]) -> list[StandbyDemand]:
    return [StandbyDemand(conid, owner) for conid, owner in owners.items()]


def nearest_that_fit(
    contracts: list[StandbyDemand], seats: list[StandbyCapacity], previous: dict[int, int]
) -> list[int]:
    """By trying: each contract in turn, nearest first, has a standby if all before it that have one keep one."""
    lines = {seat.worker: seat.lines for seat in seats}
    closed = {seat.worker for seat in seats if seat.closed}
    at: dict[int, int] = {}  # conid -> worker
    by_conid = {contract.conid: contract for contract in contracts}
    kept = Counter[int]()
    keeps = {}
    for contract in contracts:
        worker = previous.get(contract.conid)
        if worker in closed and worker != contract.owner and worker not in contract.refused:
            assert worker is not None
            if kept[worker] < lines[worker]:
                kept[worker] += 1
                keeps[contract.conid] = worker

    def allowed(contract: StandbyDemand) -> list[int]:
        able = [w for w in lines if w not in closed and w != contract.owner and w not in contract.refused]
        return [*able, *([keeps[contract.conid]] if contract.conid in keeps else [])]

    def place(contract: StandbyDemand, seen: set[int]) -> bool:
        for worker in allowed(contract):
            if worker in seen:
                continue
            seen.add(worker)
            held = [conid for conid, where in at.items() if where == worker]
            if len(held) < lines[worker] or any(place(by_conid[conid], seen) for conid in held):
                at[contract.conid] = worker
                return True
        return False

    return [contract.conid for contract in contracts if place(contract, set())]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    workers = draw(st.integers(1, 5))
    count = draw(st.integers(0, 12))
    some = st.integers(0, workers - 1)
    contracts = [
        StandbyDemand(conid, draw(some), frozenset(draw(st.lists(some, max_size=2)) if draw(st.booleans()) else ()))
        for conid in draw(st.permutations(range(count)))
    ]
    nodes = {worker: draw(st.sampled_from(["", "a", "b"])) for worker in range(workers)}
    seats = [
        StandbyCapacity(worker, draw(st.integers(-1, 5)), draw(st.integers(0, 4)) == 0, nodes[worker])
        for worker in range(workers)
        if draw(st.integers(0, 5))
    ]
    previous = {conid: draw(st.integers(0, workers)) for conid in range(count + 2) if draw(st.booleans())}
    return contracts, seats, previous, nodes


def plan_of(case: Case) -> StandbyPlan:
    contracts, seats, previous, nodes = case
    return plan_standbys(contracts, seats, previous, nodes=nodes)


@given(cases())
@settings(max_examples=600)
def test_bounds_hold_and_as_many_of_the_nearest_as_can_have_one(case: Case) -> None:
    contracts, seats, previous, _ = case
    found = plan_of(case)
    lines, closed = {seat.worker: seat.lines for seat in seats}, {seat.worker for seat in seats if seat.closed}
    for contract in contracts:
        worker = found.standbys.get(contract.conid)
        assert worker is None or worker in lines
        assert worker != contract.owner
        assert worker not in contract.refused
        assert worker not in closed or previous[contract.conid] == worker
    assert all(count <= lines[worker] for worker, count in Counter(found.standbys.values()).items())
    assert [conid for conid in (one.conid for one in contracts) if conid in found.standbys] == list(found.standbys)
    assert {*found.standbys, *found.without} == {contract.conid for contract in contracts}
    assert list(found.standbys) == nearest_that_fit(contracts, seats, previous)


@given(cases())
@settings(max_examples=600)
def test_what_is_planned_stays(case: Case) -> None:
    contracts, seats, _, nodes = case
    found = plan_of(case)
    assert plan_standbys(contracts, seats, found.standbys, nodes=nodes) == found


@pytest.mark.parametrize(("workers", "each"), [(2, 5), (3, 4), (5, 9), (20, 12)])
def test_a_death_hits_many_heirs_and_loads_are_even(workers: int, each: int) -> None:
    owners = {worker * each + place: worker for worker in range(workers) for place in range(each)}
    found = plan_standbys(contracts_of(owners), [StandbyCapacity(worker, 100) for worker in range(workers)], {})
    for owner in range(workers):
        heirs = Counter(found.standbys[conid] for conid, at in owners.items() if at == owner)
        counts = [heirs[worker] for worker in range(workers) if worker != owner]
        assert max(counts) - min(counts) <= 1
    load = Counter(found.standbys.values())
    assert max(load.values()) - min(load.values()) <= 1


def test_standbys_are_on_another_node_where_there_is_one() -> None:
    owners = dict.fromkeys(range(8), 0)
    seats = [StandbyCapacity(1, 4, node="a"), StandbyCapacity(2, 4, node="b"), StandbyCapacity(3, 3, node="b")]
    found = plan_standbys(contracts_of(owners), seats, {}, nodes={0: "a", 1: "a", 2: "b", 3: "b"})
    assert Counter(found.standbys.values()) == {1: 1, 2: 4, 3: 3}  # one, since their lines are used up


def test_a_worker_that_comes_is_given_its_share_and_nothing_else_moves() -> None:
    owners = {conid: conid % 4 for conid in range(48)}
    seats = [StandbyCapacity(worker, 100) for worker in range(5)]
    before = plan_standbys(contracts_of(owners), seats[:4], {}).standbys
    after = plan_standbys(contracts_of(owners), seats, before).standbys
    moved = {conid for conid in owners if before[conid] != after[conid]}
    assert {after[conid] for conid in moved} == {4}
    assert 8 <= len(moved) <= 12


def test_only_the_standbys_of_a_lost_worker_move() -> None:
    owners = {conid: conid % 5 for conid in range(50)}
    seats = [StandbyCapacity(worker, 100) for worker in range(5)]
    before = plan_standbys(contracts_of(owners), seats, {}).standbys
    alive = {conid: (before[conid] if worker == 2 else worker) for conid, worker in owners.items()}
    found = plan_standbys(contracts_of(alive), [seat for seat in seats if seat.worker != 2], before)
    stay = [conid for conid in owners if owners[conid] != 2 and before[conid] != 2]
    assert found.without == ()
    assert sum(found.standbys[conid] != before[conid] for conid in stay) <= 2


def test_the_farthest_give_way_when_lines_are_short() -> None:
    """Each of three workers has two lines to spare; a fourth contract of worker 0 comes, nearer than all others."""
    owners = {9: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 0}
    seats = [StandbyCapacity(worker, 2) for worker in range(3)]
    before = plan_standbys(contracts_of({k: v for k, v in owners.items() if k != 9}), seats, {})
    assert before.without == ()
    found = plan_standbys(contracts_of(owners), seats, before.standbys)
    assert found.without == (6,)


@pytest.mark.parametrize("lines", [60, 40])
def test_ten_thousand_contracts_of_two_hundred_workers(lines: int) -> None:
    owners = {conid: conid % 200 for conid in range(10_000)}
    seats = [StandbyCapacity(worker, lines) for worker in range(200)]
    contracts = contracts_of(owners)
    began = time.perf_counter()
    found = plan_standbys(contracts, seats, {})
    placed = time.perf_counter()
    again = plan_standbys(contracts, seats, found.standbys)
    looked = time.perf_counter()
    assert again == found
    assert len(found.without) == max(0, 10_000 - 200 * lines)
    print(f"placed in {placed - began:.3f} s, looked at again in {looked - placed:.3f} s")
    assert all(one < other for one, other in pairwise(found.without))
