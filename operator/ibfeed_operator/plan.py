"""The planner: which worker streams which contract. Pure, deterministic, sticky and even.

Each worker keeps as many of its contracts as its quota allows; only the excess moves. Quotas differ by one at most
(where capacity and pins allow), and the larger ones go to those who hold most, so that the moves are the fewest:

- a worker joins N others with K contracts: exactly ``K // (N + 1)`` move, all to the newcomer;
- a worker leaves: only its contracts move;
- a contract comes: none moves; a contract goes: at most one does.

A worker keeps its *nearest* months first: what moves then are the quietest contracts. What may not be moved is
*anchored*: a pinned contract where it is pinned to, and, when loads are not to be evened, every contract where it is.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Want:
    """A contract to place. ``rank`` sorts nearest first (ties by conid); ``ladder``: its order book is wanted, too.

    ``pin``: the worker that shall have it, whatever the loads.
    """

    conid: int
    rank: str
    ladder: bool = False
    pin: int | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker that may hold contracts: ``lines`` is its account's hard limit, ``ladders`` that of its order books.

    ``drained``: it is given nothing, and keeps only what nobody else has a line for.
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


def plan(wants: Iterable[Want], seats: Iterable[Seat], previous: Mapping[int, int], *, even: bool = True) -> Plan:
    """Place ``wants`` on ``seats``, moving as few as possible of those that ``previous`` (conid to worker) has placed.

    Over capacity the nearest months come first; but a contract that a drained worker can keep gives way to one that
    nobody has. ``previous`` may name workers and contracts that no longer exist. Unless ``even``, a contract that has a
    worker moves only if that has no line for it, and no order book makes any contract move.
    """
    seats = sorted(seats, key=lambda seat: seat.worker)
    table = {seat.worker: seat for seat in seats if not seat.drained}
    ranked = sorted(wants, key=lambda want: (want.rank, want.conid))
    placed, staying, unplaced = _within_capacity(ranked, table, {s.worker: s for s in seats if s.drained}, previous)
    anchors, unpinned = _anchors(placed, table, previous, even)

    anchored = Counter(anchors.values())
    held: dict[int, list[Want]] = {worker: [] for worker in table}
    homeless: list[Want] = []
    for want in placed:
        owner = previous.get(want.conid)
        if want.conid not in anchors:
            (held[owner] if owner is not None and owner in held else homeless).append(want)

    holding = {worker: anchored[worker] + len(wants) for worker, wants in held.items()}
    quotas = _quotas(table.values(), anchored, holding, len(placed))
    free = {worker: quota - anchored[worker] for worker, quota in quotas.items()}
    books = [want for want in placed if want.ladder]
    granted, room = _grant(books, anchors, {worker: seat.ladders for worker, seat in table.items()}, free)

    keeps: dict[int, list[Want]] = {}
    for worker, wants_held in held.items():
        kept, excess = _keep(wants_held, free[worker], room[worker], granted)
        keeps[worker] = kept
        homeless.extend(excess)

    owners = anchors | {want.conid: worker for worker, kept in keeps.items() for want in kept}
    load = {worker: anchored[worker] + len(kept) for worker, kept in keeps.items()}
    homeless.sort(key=lambda want: (want.rank, want.conid))
    ladder_moves = [want for want in homeless if want.conid in granted]
    others = [want for want in homeless if want.conid not in granted]

    # Order books first: they fit on few workers, anything else fits wherever a line is free.
    for worker, kept in keeps.items():
        room[worker] -= sum(want.conid in granted for want in kept)
    free_books = [worker for worker, left in room.items() for _ in range(left)]
    for want in ladder_moves:
        # Where a whole line is free; else where a contract without a book must make way for one with it.
        worker = min(free_books, key=lambda free: (load[free] >= quotas[free], load[free], free))
        free_books.remove(worker)
        owners[want.conid] = worker
        load[worker] += 1
    for worker, kept in keeps.items():
        movable = [want for want in kept if want.conid not in granted]
        while load[worker] > quotas[worker]:
            evicted = movable.pop()
            del owners[evicted.conid]
            load[worker] -= 1
            others.append(evicted)

    _fill(sorted(others, key=lambda want: (want.rank, want.conid)), quotas, load, owners)
    owners |= {want.conid: worker for want, worker in staying}
    granted |= _books_of_drained(staying, {seat.worker: seat.ladders for seat in seats})
    return Plan(
        owners=owners,
        ladders=granted,
        unplaced=tuple(want.conid for want in unplaced),
        without_ladder=tuple(
            want.conid for want in ranked if want.ladder and want.conid in owners and want.conid not in granted
        ),
        unpinned=unpinned,
    )


def _within_capacity(
    ranked: Sequence[Want], table: Mapping[int, Seat], drained: Mapping[int, Seat], previous: Mapping[int, int]
) -> tuple[list[Want], list[tuple[Want, int]], list[Want]]:
    """Split into what gets a line, what stays (want and worker) at a drained worker for want of one, and the rest."""
    leaving: list[Want] = []  # but each could stay where it is
    others: list[Want] = []
    load = Counter[int]()
    for want in ranked:
        owner = previous.get(want.conid)
        if owner is not None and owner in drained and load[owner] < drained[owner].lines:
            load[owner] += 1
            leaving.append(want)
        else:
            others.append(want)
    capacity = sum(seat.lines for seat in table.values())
    spare = max(0, capacity - len(others))
    placed = sorted([*others[:capacity], *leaving[:spare]], key=lambda want: (want.rank, want.conid))
    return placed, [(want, previous[want.conid]) for want in leaving[spare:]], others[capacity:]


def _anchors(
    placed: Sequence[Want], table: Mapping[int, Seat], previous: Mapping[int, int], even: bool
) -> tuple[dict[int, int], tuple[int, ...]]:
    """Which contracts have their worker before any load is looked at, and which pins that leaves unmet."""
    anchors: dict[int, int] = {}
    lines = {worker: seat.lines for worker, seat in table.items()}
    unpinned = []
    for want in placed:
        if want.pin is None:
            continue
        if lines.get(want.pin, 0) > 0:
            anchors[want.conid] = want.pin
            lines[want.pin] -= 1
        else:
            unpinned.append(want.conid)
    for want in placed if not even else ():
        owner = previous.get(want.conid)
        if owner is not None and want.conid not in anchors and lines.get(owner, 0) > 0:
            anchors[want.conid] = owner
            lines[owner] -= 1
    return anchors, tuple(unpinned)


def _quotas(
    seats: Iterable[Seat], anchored: Mapping[int, int], holding: Mapping[int, int], total: int
) -> dict[int, int]:
    """Shares of ``total``, as even as each seat's lines and anchored contracts allow; those who hold most get more."""
    seats = list(seats)

    def share(seat: Seat, level: int) -> int:
        return max(anchored[seat.worker], min(level, seat.lines))

    level = bisect_right(range(total + 1), total, key=lambda level: sum(share(seat, level) for seat in seats)) - 1
    quotas = {seat.worker: share(seat, level) for seat in seats}
    growing = [seat.worker for seat in seats if share(seat, level + 1) > quotas[seat.worker]]
    growing.sort(key=lambda worker: (-holding[worker], worker))
    for worker in growing[: total - sum(quotas.values())]:
        quotas[worker] += 1
    return quotas


def _grant(
    books: Sequence[Want], anchors: Mapping[int, int], ladders: Mapping[int, int], free: Mapping[int, int]
) -> tuple[frozenset[int], dict[int, int]]:
    """Which books are granted, nearest first, and how many of contracts that are not anchored each worker has room for.

    ``free``: lines of each worker's quota that no anchored contract takes.
    """
    left = dict(ladders)
    room = {worker: min(count, free[worker]) for worker, count in left.items()}
    total, loose = sum(room.values()), 0
    granted: set[int] = set()
    for want in books:
        worker = anchors.get(want.conid)
        if worker is None:
            if loose < total:
                loose += 1
                granted.add(want.conid)
        elif left[worker] > 0:
            taken = left[worker] <= free[worker]  # the ladder could have been a loose contract's
            if loose <= total - taken:
                left[worker] -= 1
                room[worker] -= taken
                total -= taken
                granted.add(want.conid)
    return frozenset(granted), room


def _books_of_drained(staying: Iterable[tuple[Want, int]], ladders: Mapping[int, int]) -> frozenset[int]:
    left = dict(ladders)
    granted = set()
    for want, worker in staying:
        if want.ladder and left[worker] > 0:
            left[worker] -= 1
            granted.add(want.conid)
    return frozenset(granted)


def _keep(wants: Sequence[Want], quota: int, books: int, granted: frozenset[int]) -> tuple[list[Want], list[Want]]:
    """Split what a worker holds (nearest first) into what it keeps and what must go."""
    with_book = [want for want in wants if want.conid in granted]
    keep = {want.conid for want in with_book[:books]}
    refused = {want.conid for want in with_book[books:]}
    for want in wants:
        if len(keep) >= quota:
            break
        if want.conid not in refused:
            keep.add(want.conid)
    return [want for want in wants if want.conid in keep], [want for want in wants if want.conid not in keep]


def _fill(wants: Sequence[Want], quotas: Mapping[int, int], load: dict[int, int], owners: dict[int, int]) -> None:
    """Give each want to the least loaded worker with a free line, so that near months spread evenly, too."""
    free = [(load[worker], worker) for worker, quota in quotas.items() if load[worker] < quota]
    heapq.heapify(free)
    for want in wants:
        count, worker = free[0]
        owners[want.conid] = worker
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
