"""The planner against the optimum, which is found by trying everything, over histories of a small feed."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_operator.planning.balancer import Capacity, Demand, Plan, plan

CONIDS = st.integers(0, 5)
WORKERS = st.integers(0, 3)
EVENTS = st.one_of(
    st.tuples(st.just("join"), WORKERS, st.integers(1, 4)),
    st.tuples(st.just("capacity"), WORKERS, st.integers(1, 4)),
    st.tuples(st.just("leave"), WORKERS, st.none()),
    st.tuples(st.just("drain"), WORKERS, st.booleans()),
    st.tuples(st.just("list"), CONIDS, st.integers(0, 3)),
    st.tuples(st.just("expire"), CONIDS, st.none()),
    st.tuples(st.just("pin"), CONIDS, st.sampled_from([0, 0, 1, None])),
    st.tuples(st.just("book"), CONIDS, st.booleans()),
)


@dataclass
class Small:
    """A feed with at most six contracts and four workers. ``ranks``: conid to how near its month is."""

    lines: dict[int, int] = field(default_factory=lambda: {0: 2, 1: 3})
    drained: set[int] = field(default_factory=set)
    ranks: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 1, 2: 2, 3: 1, 4: 0})
    pins: dict[int, int | None] = field(default_factory=dict)
    books: set[int] = field(default_factory=set)

    def happens(self, event: str, number: int, value: int | bool | None) -> None:
        if event == "join" or (event == "capacity" and number in self.lines):
            self.lines[number] = int(value or 1)
        elif event == "leave":
            self.lines.pop(number, None)
        elif event == "drain":
            (self.drained.add if value else self.drained.discard)(number)
        elif event == "list":
            self.ranks[number] = int(value or 0)
        elif event == "expire":
            self.ranks.pop(number, None)
        elif event == "pin":
            self.pins[number] = value
        elif event == "book":
            (self.books.add if value else self.books.discard)(number)

    @property
    def open(self) -> dict[int, int]:
        return {worker: lines for worker, lines in self.lines.items() if worker not in self.drained}

    def demands(self) -> list[Demand]:
        return [
            Demand(conid, str(rank), conid in self.books, self.pins.get(conid)) for conid, rank in self.ranks.items()
        ]

    def capacities(self) -> list[Capacity]:
        return [Capacity(worker, lines, 1, worker in self.drained) for worker, lines in self.lines.items()]

    def nearest(self) -> list[Demand]:
        return sorted(self.demands(), key=lambda demand: (demand.rank, demand.conid))

    def can_stay(self, before: Mapping[int, int]) -> set[int]:
        """What a drained worker has and has a line for."""
        room = {worker: self.lines[worker] for worker in self.drained & self.lines.keys()}
        found = set()
        for demand in self.nearest():
            worker = before.get(demand.conid)
            if worker in room and room[worker] > 0:
                room[worker] -= 1
                found.add(demand.conid)
        return found


SMALL = st.builds(
    Small,
    lines=st.dictionaries(WORKERS, st.integers(1, 4), min_size=1),
    drained=st.sets(WORKERS, max_size=1),
    ranks=st.dictionaries(CONIDS, st.integers(0, 3), min_size=3),
    pins=st.dictionaries(CONIDS, st.sampled_from([0, 0, 1])),
    books=st.sets(CONIDS, max_size=2),
)


Cost = tuple[object, ...]


def cost(small: Small, before: Mapping[int, int], owners: Mapping[int, int], conids: list[int], even: bool) -> Cost:
    """What is minimised, the weightiest first: pins not met, spread of the loads, moves (or moves, then spread)."""
    unmet = tuple(small.pins[c] != owners[c] for c in conids if small.pins.get(c) in small.open)
    spread = sum(load * load for load in Counter(owners[conid] for conid in conids).values())
    moves = sum(before[c] != owners[c] for c in conids if before.get(c) in small.open)
    return (unmet, spread, moves) if even else (unmet, moves, spread)


def cheapest(small: Small, before: Mapping[int, int], conids: list[int], even: bool) -> Cost:
    costs = []
    for choice in itertools.product(small.open, repeat=len(conids)):
        if all(count <= small.open[worker] for worker, count in Counter(choice).items()):
            costs.append(cost(small, before, dict(zip(conids, choice, strict=True)), conids, even))
    return min(costs)


def check(small: Small, before: Mapping[int, int], result: Plan, even: bool) -> None:
    conids = [demand.conid for demand in small.nearest()]
    staying = small.can_stay(before)
    capacity = sum(small.open.values())
    others = [conid for conid in conids if conid not in staying]
    leaving = [conid for conid in conids if conid in staying]
    spare = max(0, capacity - len(others))
    placed = {*others[:capacity], *leaving[:spare]}

    assert set(result.owners) == placed | staying, "as many as there are lines for, nearest first"
    assert set(result.unplaced) == set(others[capacity:])
    assert all(result.owners[conid] == before[conid] for conid in leaving[spare:]), "the rest stays where it is drained"
    assert all(count <= small.lines[worker] for worker, count in Counter(result.owners.values()).items())
    wished = {c for c in placed if small.pins.get(c) is not None}
    assert set(result.unpinned) == {conid for conid in wished if result.owners[conid] != small.pins[conid]}

    taken = Counter(result.owners[conid] for conid in result.ladders)
    assert all(count == 1 for count in taken.values())
    assert set(result.ladders) | set(result.without_ladder) == small.books & result.owners.keys()
    if not small.books:
        ordered = [conid for conid in conids if conid in placed]
        assert cost(small, before, result.owners, ordered, even) == cheapest(small, before, ordered, even)


@given(SMALL, st.dictionaries(CONIDS, WORKERS), st.lists(st.tuples(EVENTS, st.booleans()), min_size=1, max_size=6))
@settings(max_examples=150)
def test_any_history_is_answered_by_the_optimum(
    small: Small, owners: dict[int, int], events: list[tuple[tuple[str, int, int | bool | None], bool]]
) -> None:
    for event, even in events:
        small.happens(*event)
        result = plan(small.demands(), small.capacities(), owners, even=even)
        check(small, owners, result, even)
        assert plan(small.demands(), small.capacities(), result.owners, even=even) == result, (
            "the same again changes nothing"
        )
        owners = dict(result.owners)


@given(st.lists(EVENTS, max_size=14), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_moves_made_one_by_one_lead_where_the_plan_pointed(
    events: list[tuple[str, int, int | bool | None]], even: bool, chooser: random.Random
) -> None:
    """Some moves are under way, most wait for their turn: the planner must not think of others meanwhile."""
    small, owners = Small(), dict[int, int]()
    for event in events[:-1]:
        small.happens(*event)
    owners = dict(plan(small.demands(), small.capacities(), {}).owners)
    for event in events[-1:]:
        small.happens(*event)
    small.books.clear()
    result = plan(small.demands(), small.capacities(), owners, even=even)
    total = sum(worker != owners.get(conid, worker) for conid, worker in result.owners.items())
    done = 0
    while pending := [c for c, worker in sorted(result.owners.items()) if owners.get(c, worker) != worker]:
        conid = chooser.choice(pending)
        owners[conid] = result.owners[conid]
        done += 1
        result = plan(small.demands(), small.capacities(), owners, even=even)
    assert done == total


@given(st.lists(EVENTS, max_size=14), st.lists(EVENTS, min_size=1, max_size=6))
@settings(max_examples=150)
def test_loads_that_are_not_to_be_evened_move_only_what_must(
    before: list[tuple[str, int, int | bool | None]], after: list[tuple[str, int, int | bool | None]]
) -> None:
    small = Small()
    for event in before:
        small.happens(*event)
    owners = dict(plan(small.demands(), small.capacities(), {}).owners)
    small.pins.clear()
    for event in after:
        if event[0] not in ("pin", "capacity"):
            small.happens(*event)
    result = plan(small.demands(), small.capacities(), owners, even=False)
    for conid, worker in result.owners.items():
        if (
            owners.get(conid) in small.open
            and sum(o == owners[conid] for o in owners.values()) <= small.open[owners[conid]]
        ):
            assert worker == owners[conid]
