"""The planner against an oracle that knows the optimum, over long sequences of events."""

from __future__ import annotations

import random
import time
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_operator.planning.balancer import Capacity, Demand, Plan, plan, slots

MONTHS = [f"2027{month:02d}20" for month in range(1, 13)]


def wants_of(conids: set[int], ladders: frozenset[int] = frozenset()) -> list[Demand]:
    return [Demand(conid, MONTHS[conid % 12], conid in ladders) for conid in conids]


def seats_of(workers: set[int], lines: int = 100) -> list[Capacity]:
    return [Capacity(worker, lines) for worker in workers]


def loads(result: Plan, workers: set[int]) -> list[int]:
    count = Counter(result.owners.values())
    return [count[worker] for worker in workers]


def moves(before: dict[int, int], after: Plan) -> set[int]:
    """Contracts that had a worker and now have another."""
    return {conid for conid, worker in before.items() if after.owners.get(conid, worker) != worker}


def fewest_moves(before: dict[int, int], conids: set[int], workers: set[int]) -> int:
    """Optimum for equal seats: let those who hold most have the larger shares, keep min(held, share) each."""
    if not workers:
        return 0
    held = sorted((sum(before.get(conid) == worker for conid in conids) for worker in workers), reverse=True)
    share, extra = divmod(len(conids), len(workers))
    kept = sum(min(count, share + (position < extra)) for position, count in enumerate(held))
    return sum(held) - kept


class TestBounds:
    @given(st.integers(1, 12), st.integers(0, 60))
    def test_newcomer_takes_exactly_its_share_and_nobody_else_moves(self, workers: int, contracts: int) -> None:
        conids, team = set(range(contracts)), set(range(workers))
        before = plan(wants_of(conids), seats_of(team), {})
        after = plan(wants_of(conids), seats_of(team | {workers}), before.owners)
        moved = moves(dict(before.owners), after)
        assert len(moved) == contracts // (workers + 1)
        assert all(after.owners[conid] == workers for conid in moved)

    @given(st.integers(2, 12), st.integers(0, 60), st.data())
    def test_leaver_takes_nobody_along(self, workers: int, contracts: int, data: st.DataObject) -> None:
        conids, team = set(range(contracts)), set(range(workers))
        before = plan(wants_of(conids), seats_of(team), {})
        leaver = data.draw(st.sampled_from(sorted(team)))
        after = plan(wants_of(conids), seats_of(team - {leaver}), before.owners)
        assert moves(dict(before.owners), after) == {c for c, worker in before.owners.items() if worker == leaver}

    @given(st.integers(1, 12), st.integers(0, 60))
    def test_added_contract_moves_none(self, workers: int, contracts: int) -> None:
        team = set(range(workers))
        before = plan(wants_of(set(range(contracts))), seats_of(team), {})
        after = plan(wants_of(set(range(contracts + 1))), seats_of(team), before.owners)
        assert not moves(dict(before.owners), after)

    @given(st.integers(1, 12), st.integers(1, 60), st.data())
    def test_removed_contract_moves_at_most_one(self, workers: int, contracts: int, data: st.DataObject) -> None:
        conids, team = set(range(contracts)), set(range(workers))
        before = plan(wants_of(conids), seats_of(team), {})
        gone = data.draw(st.sampled_from(sorted(conids)))
        after = plan(wants_of(conids - {gone}), seats_of(team), before.owners)
        assert len(moves(dict(before.owners), after)) <= 1

    @given(st.integers(1, 12), st.integers(1, 60), st.data())
    def test_roll_moves_at_most_one_survivor(self, workers: int, contracts: int, data: st.DataObject) -> None:
        conids, team = set(range(contracts)), set(range(workers))
        before = plan(wants_of(conids), seats_of(team), {})
        expired = data.draw(st.sampled_from(sorted(conids)))
        after = plan(wants_of(conids - {expired} | {contracts}), seats_of(team), before.owners)
        assert len(moves(dict(before.owners), after)) <= 1
        assert set(after.owners) == conids - {expired} | {contracts}

    @given(st.sets(st.integers(0, 200), max_size=80), st.sets(st.integers(0, 20), max_size=10))
    def test_planning_again_changes_nothing(self, conids: set[int], team: set[int]) -> None:
        once = plan(wants_of(conids), seats_of(team, lines=7), {})
        assert plan(wants_of(conids), seats_of(team, lines=7), once.owners) == once

    @given(st.sets(st.integers(0, 200), max_size=80), st.sets(st.integers(0, 20), max_size=10), st.randoms())
    def test_order_of_the_input_is_of_no_account(
        self, conids: set[int], team: set[int], shuffler: random.Random
    ) -> None:
        demands, capacities = wants_of(conids), seats_of(team, lines=9)
        expected = plan(demands, capacities, {})
        shuffler.shuffle(demands)
        shuffler.shuffle(capacities)
        assert plan(demands, capacities, {}) == expected


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("join"), st.integers(0, 9)),
            st.tuples(st.just("leave"), st.integers(0, 9)),
            st.tuples(st.just("add"), st.integers(0, 70)),
            st.tuples(st.just("remove"), st.integers(0, 70)),
        ),
        max_size=60,
    )
)
@settings(max_examples=300)
def test_any_history_stays_even_and_moves_as_few_as_possible(events: list[tuple[str, int]]) -> None:
    conids: set[int] = set(range(20))
    team: set[int] = {0, 1}
    owners: dict[int, int] = {}
    for event, value in events:
        {"join": team.add, "leave": team.discard, "add": conids.add, "remove": conids.discard}[event](value)
        result = plan(wants_of(conids), seats_of(team), owners)
        assert set(result.owners) == (conids if team else set())
        assert len(result.unplaced) == (0 if team else len(conids))
        spread = loads(result, team)
        assert max(spread, default=0) - min(spread, default=0) <= 1
        present = {conid: worker for conid, worker in owners.items() if conid in conids and worker in team}
        assert len(moves(present, result)) == fewest_moves(owners, conids, team)
        owners = dict(result.owners)


class TestCapacity:
    @given(
        st.dictionaries(st.integers(0, 9), st.integers(0, 8), max_size=6),
        st.sets(st.integers(0, 100), max_size=40),
        st.dictionaries(st.integers(0, 100), st.integers(0, 9), max_size=40),
    )
    def test_lines_are_a_hard_limit_and_nearer_months_come_first(
        self, lines: dict[int, int], conids: set[int], previous: dict[int, int]
    ) -> None:
        demands = wants_of(conids)
        result = plan(demands, [Capacity(worker, count) for worker, count in lines.items()], previous)
        count = Counter(result.owners.values())
        assert all(count[worker] <= limit for worker, limit in lines.items())
        assert len(result.owners) == min(len(conids), sum(lines.values()))
        assert set(result.owners) | set(result.unplaced) == conids
        rank = {demand.conid: (demand.rank, demand.conid) for demand in demands}
        if result.unplaced and result.owners:
            assert max(rank[conid] for conid in result.owners) < min(rank[conid] for conid in result.unplaced)
        # As even as the limits allow: nobody with a free line has two fewer than somebody else.
        for worker, limit in lines.items():
            if count[worker] < limit:
                assert max(count.values(), default=0) - count[worker] <= 1

    @given(
        st.integers(1, 6),
        st.integers(0, 3),
        st.sets(st.integers(0, 40), max_size=25),
        st.sets(st.integers(0, 40), max_size=10),
        st.dictionaries(st.integers(0, 40), st.integers(0, 6), max_size=25),
    )
    def test_each_account_has_so_many_order_books(
        self, workers: int, ladders: int, conids: set[int], books: set[int], previous: dict[int, int]
    ) -> None:
        wanted = frozenset(books & conids)
        capacities = [Capacity(worker, 10, ladders) for worker in range(workers)]
        result = plan(wants_of(conids, wanted), capacities, previous)
        per_worker = Counter(result.owners[conid] for conid in result.ladders)
        assert all(count <= ladders for count in per_worker.values())
        assert result.ladders | set(result.without_ladder) == wanted & set(result.owners)
        assert not result.ladders & set(result.without_ladder)
        spread = loads(result, set(range(workers)))
        assert max(spread) - min(spread) <= 1
        assert plan(wants_of(conids, wanted), capacities, result.owners) == result

    def test_a_drained_worker_keeps_no_more_than_its_lines(self) -> None:
        capacities = [Capacity(0, 2, drained=True), Capacity(1, 1)]
        result = plan(wants_of({0, 1, 2, 3}), capacities, dict.fromkeys(range(4), 0))
        assert result.owners == {0: 0, 1: 0, 2: 1}
        assert result.unplaced == (3,)

    def test_order_books_of_a_drained_worker_stay_with_what_stays(self) -> None:
        demands = [Demand(conid, MONTHS[conid], ladder=True) for conid in range(3)]
        result = plan(demands, [Capacity(0, 3, drained=True)], dict.fromkeys(range(3), 0))
        assert (result.ladders, result.without_ladder) == (frozenset({0}), (1, 2))

    def test_pinned_order_books_take_their_workers_ladder(self) -> None:
        demands = [Demand(conid, MONTHS[conid], ladder=True, pin=0) for conid in range(2)] + [
            Demand(2, MONTHS[2], ladder=True)
        ]
        result = plan(demands, [Capacity(0, 9), Capacity(1, 9)], {})
        assert result.owners[2] == 1
        assert (result.ladders, result.without_ladder) == (frozenset({0, 2}), (1,))

    def test_order_books_of_the_nearest_months_are_granted(self) -> None:
        demands = [Demand(1, "20270120", True), Demand(2, "20270220", True), Demand(3, "20270320", True)]
        result = plan(demands, [Capacity(0, 10, 1), Capacity(1, 10, 1)], {})
        assert result.ladders == {1, 2}
        assert result.owners[1] != result.owners[2]
        assert result.without_ladder == (3,)


def test_moves_one_by_one_lead_where_the_plan_pointed() -> None:
    """While moves are under way the planner sees half of them done; it must not think of others."""
    chooser = random.Random(1)
    for _ in range(200):
        conids, team = set(range(chooser.randint(0, 40))), set(range(chooser.randint(1, 6)))
        owners = dict(plan(wants_of(conids), seats_of(team), {}).owners)
        team = (team | {10, 11}) if chooser.random() < 0.5 else (team - {0}) or {0}
        total = len(moves(owners, plan(wants_of(conids), seats_of(team), owners)))
        done = 0
        while True:
            result = plan(wants_of(conids), seats_of(team), owners)
            pending = sorted(moves(owners, result))
            if not pending:
                break
            conid = chooser.choice(pending)
            owners[conid] = result.owners[conid]
            done += 1
        assert done == total


class TestSlots:
    def test_lowest_free_first(self) -> None:
        assert slots([7, 8, 9], {8: 0, 5: 2}) == {7: 1, 8: 0, 9: 3}

    @given(st.lists(st.sets(st.integers(0, 50), max_size=20), max_size=10))
    def test_for_life_and_never_twice(self, universes: list[set[int]]) -> None:
        taken: dict[int, int] = {}
        for universe in universes:
            result = slots(sorted(universe), taken)
            assert len(set(result.values())) == len(universe)
            assert all(result[conid] == slot for conid, slot in taken.items() if conid in universe)
            taken = result


def test_ten_thousand_contracts_on_two_hundred_workers_in_50_ms() -> None:
    conids, team = set(range(10_000)), set(range(200))
    demands, capacities = wants_of(conids), seats_of(team)
    before = plan(demands, capacities, {})
    times = []
    for _ in range(5):
        started = time.process_time()
        plan(demands, capacities[:-1], before.owners)
        times.append(time.process_time() - started)
    assert min(times) <= 0.05
