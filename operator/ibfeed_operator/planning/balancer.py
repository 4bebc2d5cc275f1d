"""The planner: which worker streams which contract. Pure, deterministic, sticky and even.

Each worker keeps as many of its contracts as its quota allows; only the excess moves. Quotas differ by one at most
(where capacity and pins allow), and the larger ones go to those who hold most, so that the moves are the fewest:

- a worker joins N others with K contracts: exactly ``K // (N + 1)`` move, all to the newcomer;
- a worker leaves: only its contracts move;
- a contract comes: none moves; a contract goes: at most one does.

A worker keeps its *nearest* months first: what moves then are the quietest contracts. A contract that may not be
moved is *anchored*: a pinned one where it is pinned to, and, when loads are not to be evened, every one where it is.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """A contract to place. ``rank`` sorts nearest first (ties by conid); ``ladder``: its order book is wanted, too.

    ``pin``: the worker that shall have it, whatever the loads.
    """

    conid: int
    rank: str
    ladder: bool = False
    pin: int | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """A worker that may hold contracts: ``lines`` is its account's hard limit, ``ladders`` that of its order books.

    ``drained``: it is given nothing, and keeps only what no other worker has a line for.
    """

    worker: int
    lines: int
    ladders: int = 1
    drained: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """``owners``: conid to worker. ``unplaced``: no line was left. ``without_ladder``: placed, but without its book.

    ``unpinned``: not where it is pinned to, since that worker has no seat, or not lines enough for all its pins.
    """

    owners: Mapping[int, int]
    ladders: frozenset[int]
    unplaced: tuple[int, ...] = ()
    without_ladder: tuple[int, ...] = ()
    unpinned: tuple[int, ...] = ()


def plan(
    demands: Iterable[Demand], capacities: Iterable[Capacity], previous: Mapping[int, int], *, even: bool = True
) -> Plan:
    """Place ``demands``, moving as few as possible of those that ``previous`` (conid to worker) has placed.

    Over capacity the nearest months come first; but a contract that a drained worker can keep gives way to one that
    nobody has. ``previous`` may name workers and contracts that no longer exist. Unless ``even``, a contract that has a
    worker moves only if that has no line for it, and no order book makes any contract move.
    """
    capacities = sorted(capacities, key=lambda capacity: capacity.worker)
    table = {capacity.worker: capacity for capacity in capacities if not capacity.drained}
    ranked = sorted(demands, key=lambda demand: (demand.rank, demand.conid))
    placed, staying, unplaced = _within_capacity(
        ranked, table, {s.worker: s for s in capacities if s.drained}, previous
    )
    anchors, unpinned = _anchors(placed, table, previous, even)

    anchored = Counter(anchors.values())
    held: dict[int, list[Demand]] = {worker: [] for worker in table}
    homeless: list[Demand] = []
    for demand in placed:
        owner = previous.get(demand.conid)
        if demand.conid not in anchors:
            (held[owner] if owner is not None and owner in held else homeless).append(demand)

    holding = {worker: anchored[worker] + len(demands) for worker, demands in held.items()}
    quotas = _quotas(table.values(), anchored, holding, len(placed))
    free = {worker: quota - anchored[worker] for worker, quota in quotas.items()}
    books = [demand for demand in placed if demand.ladder]
    granted, room = _grant(books, anchors, {worker: capacity.ladders for worker, capacity in table.items()}, free)

    keeps: dict[int, list[Demand]] = {}
    for worker, wants_held in held.items():
        kept, excess = _keep(wants_held, free[worker], room[worker], granted)
        keeps[worker] = kept
        homeless.extend(excess)

    owners = anchors | {demand.conid: worker for worker, kept in keeps.items() for demand in kept}
    load = {worker: anchored[worker] + len(kept) for worker, kept in keeps.items()}
    homeless.sort(key=lambda demand: (demand.rank, demand.conid))
    ladder_moves = [demand for demand in homeless if demand.conid in granted]
    others = [demand for demand in homeless if demand.conid not in granted]

    others += _place_books(ladder_moves, keeps, granted, quotas, room, load, owners)
    _fill(sorted(others, key=lambda demand: (demand.rank, demand.conid)), quotas, load, owners)
    owners |= {demand.conid: worker for demand, worker in staying}
    granted |= _books_of_drained(staying, {capacity.worker: capacity.ladders for capacity in capacities})
    return Plan(
        owners=owners,
        ladders=granted,
        unplaced=tuple(demand.conid for demand in unplaced),
        without_ladder=tuple(
            demand.conid
            for demand in ranked
            if demand.ladder and demand.conid in owners and demand.conid not in granted
        ),
        unpinned=unpinned,
    )


def _place_books(
    moves: Sequence[Demand],
    keeps: Mapping[int, Sequence[Demand]],
    granted: Collection[int],
    quotas: Mapping[int, int],
    room: dict[int, int],
    load: dict[int, int],
    owners: dict[int, int],
) -> list[Demand]:
    """Place contracts with order books before the others: they fit on few workers, anything else wherever a line is.

    Brings ``room`` (order books), ``load`` and ``owners`` up to date; returns the contracts that had to make way.
    """
    for worker, kept in keeps.items():
        room[worker] -= sum(demand.conid in granted for demand in kept)
    free_books = [worker for worker, left in room.items() for _ in range(left)]
    for demand in moves:
        # Where a whole line is free; else where a contract without a book must make way for one with it.
        worker = min(free_books, key=lambda free: (load[free] >= quotas[free], load[free], free))
        free_books.remove(worker)
        owners[demand.conid] = worker
        load[worker] += 1
    evicted: list[Demand] = []
    for worker, kept in keeps.items():
        movable = [demand for demand in kept if demand.conid not in granted]
        while load[worker] > quotas[worker]:
            evicted.append(movable.pop())
            del owners[evicted[-1].conid]
            load[worker] -= 1
    return evicted


def _within_capacity(
    ranked: Sequence[Demand],
    table: Mapping[int, Capacity],
    drained: Mapping[int, Capacity],
    previous: Mapping[int, int],
) -> tuple[list[Demand], list[tuple[Demand, int]], list[Demand]]:
    """Split into what gets a line, what stays (want and worker) at a drained worker for want of one, and the rest."""
    leaving: list[Demand] = []  # but each could stay where it is
    others: list[Demand] = []
    load = Counter[int]()
    for demand in ranked:
        owner = previous.get(demand.conid)
        if owner is not None and owner in drained and load[owner] < drained[owner].lines:
            load[owner] += 1
            leaving.append(demand)
        else:
            others.append(demand)
    capacity = sum(capacity.lines for capacity in table.values())
    spare = max(0, capacity - len(others))
    placed = sorted([*others[:capacity], *leaving[:spare]], key=lambda demand: (demand.rank, demand.conid))
    return placed, [(demand, previous[demand.conid]) for demand in leaving[spare:]], others[capacity:]


def _anchors(
    placed: Sequence[Demand], table: Mapping[int, Capacity], previous: Mapping[int, int], even: bool
) -> tuple[dict[int, int], tuple[int, ...]]:
    """Which contracts have their worker before any load is looked at, and which pins that leaves unmet."""
    anchors: dict[int, int] = {}
    lines = {worker: capacity.lines for worker, capacity in table.items()}
    unpinned = []
    for demand in placed:
        if demand.pin is None:
            continue
        if lines.get(demand.pin, 0) > 0:
            anchors[demand.conid] = demand.pin
            lines[demand.pin] -= 1
        else:
            unpinned.append(demand.conid)
    for demand in placed if not even else ():
        owner = previous.get(demand.conid)
        if owner is not None and demand.conid not in anchors and lines.get(owner, 0) > 0:
            anchors[demand.conid] = owner
            lines[owner] -= 1
    return anchors, tuple(unpinned)


def _quotas(
    capacities: Iterable[Capacity], anchored: Mapping[int, int], holding: Mapping[int, int], total: int
) -> dict[int, int]:
    """Shares of ``total``, as even as each seat's lines and anchored contracts allow; those who hold most get more."""
    capacities = list(capacities)

    def share(capacity: Capacity, level: int) -> int:
        return max(anchored[capacity.worker], min(level, capacity.lines))

    level = (
        bisect_right(range(total + 1), total, key=lambda level: sum(share(capacity, level) for capacity in capacities))
        - 1
    )
    quotas = {capacity.worker: share(capacity, level) for capacity in capacities}
    growing = [capacity.worker for capacity in capacities if share(capacity, level + 1) > quotas[capacity.worker]]
    growing.sort(key=lambda worker: (-holding[worker], worker))
    for worker in growing[: total - sum(quotas.values())]:
        quotas[worker] += 1
    return quotas


def _grant(
    books: Sequence[Demand], anchors: Mapping[int, int], ladders: Mapping[int, int], free: Mapping[int, int]
) -> tuple[frozenset[int], dict[int, int]]:
    """Which books are granted, nearest first, and how many of contracts that are not anchored each worker has room for.

    ``free``: lines of each worker's quota that no anchored contract takes.
    """
    left = dict(ladders)
    room = {worker: min(count, free[worker]) for worker, count in left.items()}
    total, loose = sum(room.values()), 0
    granted: set[int] = set()
    for demand in books:
        worker = anchors.get(demand.conid)
        if worker is None:
            if loose < total:
                loose += 1
                granted.add(demand.conid)
        elif left[worker] > 0:
            taken = left[worker] <= free[worker]  # the ladder could have been a loose contract's
            if loose <= total - taken:
                left[worker] -= 1
                room[worker] -= taken
                total -= taken
                granted.add(demand.conid)
    return frozenset(granted), room


def _books_of_drained(staying: Iterable[tuple[Demand, int]], ladders: Mapping[int, int]) -> frozenset[int]:
    left = dict(ladders)
    granted = set()
    for demand, worker in staying:
        if demand.ladder and left[worker] > 0:
            left[worker] -= 1
            granted.add(demand.conid)
    return frozenset(granted)


def _keep(
    demands: Sequence[Demand], quota: int, books: int, granted: frozenset[int]
) -> tuple[list[Demand], list[Demand]]:
    """Split what a worker holds (nearest first) into what it keeps and what must go."""
    with_book = [demand for demand in demands if demand.conid in granted]
    keep = {demand.conid for demand in with_book[:books]}
    refused = {demand.conid for demand in with_book[books:]}
    for demand in demands:
        if len(keep) >= quota:
            break
        if demand.conid not in refused:
            keep.add(demand.conid)
    return [demand for demand in demands if demand.conid in keep], [
        demand for demand in demands if demand.conid not in keep
    ]


def _fill(demands: Sequence[Demand], quotas: Mapping[int, int], load: dict[int, int], owners: dict[int, int]) -> None:
    """Give each want to the least loaded worker with a free line, so that near months spread evenly, too."""
    free = [(load[worker], worker) for worker, quota in quotas.items() if load[worker] < quota]
    heapq.heapify(free)
    for demand in demands:
        count, worker = free[0]
        owners[demand.conid] = worker
        load[worker] = count + 1
        if count + 1 < quotas[worker]:
            heapq.heapreplace(free, (count + 1, worker))
        else:
            heapq.heappop(free)


def slots(conids: Iterable[int], taken: Mapping[int, int]) -> dict[int, int]:
    """Slots of ``conids``, in their order: the one in ``taken`` for life, else the lowest that nobody has."""
    used = set(taken.values())
    result: dict[int, int] = {}
    candidate = 0
    for conid in conids:
        if conid in taken:
            result[conid] = taken[conid]
            continue
        while candidate in used:
            candidate += 1
        result[conid] = candidate
        used.add(candidate)
    return result
