"""The planner: which worker streams which contract. Pure, deterministic, sticky and even.

Each worker keeps as many of its contracts as its quota allows; only the excess moves. Quotas differ by one at most
(where capacity allows), and the larger ones go to those who hold most, so that the moves are the fewest possible:

- a worker joins N others with K contracts: exactly ``K // (N + 1)`` move, all to the newcomer;
- a worker leaves: only its contracts move;
- a contract comes: none moves; a contract goes: at most one does.

A worker keeps its *nearest* months first: what moves then are the quietest contracts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Want:
    """A contract to place. ``rank`` sorts nearest first (ties by conid); ``ladder``: its order book is wanted, too."""

    conid: int
    rank: str
    ladder: bool = False


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker that may hold contracts: ``lines`` is its account's hard limit, ``ladders`` that of its order books."""

    worker: int
    lines: int
    ladders: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """``owners``: conid to worker. ``unplaced``: no line was left. ``without_ladder``: placed, but without its book."""

    owners: Mapping[int, int]
    ladders: frozenset[int]
    unplaced: tuple[int, ...] = ()
    without_ladder: tuple[int, ...] = ()


def plan(wants: Iterable[Want], seats: Iterable[Seat], previous: Mapping[int, int]) -> Plan:
    """Place ``wants`` on ``seats``, moving as few as possible of those that ``previous`` (conid to worker) has placed.

    Over capacity the nearest months come first. ``previous`` may name workers and contracts that no longer exist.
    """
    table = {seat.worker: seat for seat in sorted(seats, key=lambda seat: seat.worker)}
    ranked = sorted(wants, key=lambda want: (want.rank, want.conid))
    capacity = sum(seat.lines for seat in table.values())
    placed, unplaced = ranked[:capacity], ranked[capacity:]

    held: dict[int, list[Want]] = {worker: [] for worker in table}
    homeless: list[Want] = []
    for want in placed:
        owner = previous.get(want.conid)
        (held[owner] if owner is not None and owner in held else homeless).append(want)

    quotas = _quotas(table.values(), {worker: len(wants) for worker, wants in held.items()}, len(placed))
    room = {worker: min(table[worker].ladders, quota) for worker, quota in quotas.items()}
    books = [want for want in placed if want.ladder]
    granted = frozenset(want.conid for want in books[: sum(room.values())])

    keeps: dict[int, list[Want]] = {}
    for worker, wants_held in held.items():
        kept, excess = _keep(wants_held, quotas[worker], room[worker], granted)
        keeps[worker] = kept
        homeless.extend(excess)

    owners = {want.conid: worker for worker, kept in keeps.items() for want in kept}
    load = {worker: len(kept) for worker, kept in keeps.items()}
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
    return Plan(
        owners=owners,
        ladders=granted,
        unplaced=tuple(want.conid for want in unplaced),
        without_ladder=tuple(want.conid for want in books if want.conid not in granted),
    )


def _quotas(seats: Iterable[Seat], held: Mapping[int, int], total: int) -> dict[int, int]:
    """Even shares of ``total`` under each seat's capacity; what is left over goes to those who hold most."""
    by_capacity = sorted(seats, key=lambda seat: seat.lines)
    quotas: dict[int, int] = {}
    left = total
    for position, seat in enumerate(by_capacity):  # the smallest seats are filled first, the others share the rest
        level = left // (len(by_capacity) - position)
        if seat.lines > level:
            rest = by_capacity[position:]
            quotas |= {other.worker: level for other in rest}
            extra = left - level * len(rest)
            by_holding = sorted(rest, key=lambda other: (-held[other.worker], other.worker))
            for other in by_holding[:extra]:
                quotas[other.worker] += 1
            return quotas
        quotas[seat.worker] = seat.lines
        left -= seat.lines
    return quotas


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
