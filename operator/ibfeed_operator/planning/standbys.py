"""The standbys: which worker holds which contract ready, in case that the contract's own worker is lost. Pure.

A standby is never at the contract's owner, takes a line, and is only where IB sends the contract. Within these bounds

- as many contracts as can have a standby have one, and of those that cannot all have one the nearest months come first;
- the standbys of one owner's contracts are spread evenly over the others, so that a death hits many heirs, each a
  little; where nodes are known they are on other nodes, and the loads of the heirs are even;
- a standby moves only if that makes one of these better, and then no other one worse that stands before it.

It is a matching of contracts with lines. A contract for which no line is free gets one along an augmenting path: other
standbys make room, each of them at a worker that it may have as well.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class StandbyCapacity:
    """A worker that may hold contracts ready: in how many ``lines``, beside the contracts that it publishes.

    ``closed``: it keeps what it holds, and is given no more. ``node``: where it runs; empty: not known.
    """

    worker: int
    lines: int
    closed: bool = False
    node: str = ""


@dataclass(frozen=True, slots=True)
class StandbyDemand:
    """A contract with its owner, and the workers whose accounts IB refuses it."""

    conid: int
    owner: int
    refused: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class StandbyPlan:
    """``standbys``: conid to worker, nearest first. ``without``: conids for which no line is left, nearest first."""

    standbys: Mapping[int, int] = field(default_factory=dict)
    without: tuple[int, ...] = ()


def plan_standbys(
    contracts: Sequence[StandbyDemand],
    capacities: Iterable[StandbyCapacity],
    previous: Mapping[int, int],
    *,
    nodes: Mapping[int, str] | None = None,
) -> StandbyPlan:
    """See the module's text.

    Args:
        contracts: nearest first.
        previous: by conid the worker that holds it ready now.
        nodes: by worker, where owners run.
    """
    table = _Table(contracts, {capacity.worker: capacity for capacity in capacities}, nodes or {})
    table.keep(previous)
    for contract in contracts:
        if contract.conid not in table.at:
            table.place(contract)
    table.even()
    at = table.at
    return StandbyPlan(
        {contract.conid: at[contract.conid] for contract in contracts if contract.conid in at},
        tuple(contract.conid for contract in contracts if contract.conid not in at),
    )


class _Table:
    """The matching while it is made."""

    def __init__(
        self, contracts: Sequence[StandbyDemand], capacities: Mapping[int, StandbyCapacity], nodes: Mapping[int, str]
    ) -> None:
        self.at: Final[dict[int, int]] = {}  # conid -> worker
        self._contracts: Final = {contract.conid: contract for contract in contracts}
        self._rank: Final = {contract.conid: rank for rank, contract in enumerate(contracts)}
        self._farthest_first: Final = list(reversed(self._rank))
        # By worker and conid.
        self._held: Final[dict[int, dict[int, StandbyDemand]]] = {worker: {} for worker in capacities}
        self._capacities: Final = capacities
        self._nodes: Final = nodes if len({capacity.node for capacity in capacities.values()}) > 1 else {}
        self._turns: Final = max(capacities, default=0) + 1
        self._load: Final[Counter[int]] = Counter()
        self._pairs: Final[Counter[tuple[int, int]]] = Counter()  # (owner, worker) -> standbys
        self._heaps: Final[dict[int, list[tuple[bool, int, int, int, int]]]] = {}  # by owner: its candidates
        self._hopeless: Final[set[tuple[int, frozenset[int]]]] = set()

    def keep(self, previous: Mapping[int, int]) -> None:
        for conid, contract in self._contracts.items():
            worker = previous.get(conid)
            if worker is not None and self._allowed(contract, worker) and self._room(worker):
                self._put(contract, worker)

    def place(self, contract: StandbyDemand) -> None:
        """Give a contract a standby: at the best worker with a line, else where others make room for it."""
        worker = self._best(contract)
        if worker is not None:
            self._put(contract, worker)
            return
        kind = (contract.owner, contract.refused)
        if kind in self._hopeless:
            return
        if not self._make_room(contract):
            self._hopeless.add(kind)  # nor is there any for those like it, which are farther

    def even(self) -> None:
        """Move standbys for as long as that makes the spread better."""
        groups: dict[int, list[StandbyDemand]] = defaultdict(list)
        for conid in self.at:
            groups[self._contracts[conid].owner].append(self._contracts[conid])
        moved = True
        while moved:
            moved = False
            for owner in sorted(groups):
                while self._move_one(owner, groups[owner]):
                    moved = True

    def _move_one(self, owner: int, group: Sequence[StandbyDemand]) -> bool:
        """Move one standby of an owner's contracts to a better worker; return whether there was one."""
        costs = {worker: self._cost(owner, worker) for worker in {self.at[contract.conid] for contract in group}}
        worst = max(costs.values())
        if worst <= (False, 1, self._lightest() + 1):
            return False
        goals = sorted((self._cost(owner, worker), worker) for worker in self._open(owner))
        for contract in sorted(group, key=lambda one: (costs[self.at[one.conid]], self._rank[one.conid]), reverse=True):
            cost = costs[self.at[contract.conid]]
            for (near, pairs, load), worker in goals:
                if (near, pairs + 1, load + 1) >= cost:
                    break
                if worker not in contract.refused:
                    self._remove(contract)
                    self._put(contract, worker)
                    return True
        return False

    def _make_room(self, contract: StandbyDemand) -> bool:
        """Place a contract for which no line is free: along an augmenting path, or instead of the farthest on one."""
        came: dict[int, tuple[StandbyDemand, int | None]] = {  # by worker: the contract that would come, and from where
            worker: (contract, None) for worker in self._capacities if self._may_get(contract, worker)
        }
        todo, unseen = deque(came), self._capacities.keys() - came.keys()
        while todo:
            worker = todo.popleft()
            if self._room(worker):
                self._shift(worker, came)
                return True
            for other in sorted(unseen):
                mover = next((one for one in self._held[worker].values() if self._may_get(one, other)), None)
                if mover is not None:
                    came[other] = (mover, worker)
                    todo.append(other)
                    unseen.discard(other)
        farthest = next((conid for conid in self._farthest_first if self.at.get(conid) in came), None)
        if farthest is None or self._rank[farthest] < self._rank[contract.conid]:
            return False
        worker = self.at[farthest]
        self._remove(self._contracts[farthest])
        self._shift(worker, came)
        return True

    def _shift(self, worker: int, came: Mapping[int, tuple[StandbyDemand, int | None]]) -> None:
        """Bring to ``worker`` what would come there, and to where that was what would come there, and so on."""
        goal: int | None = worker
        while goal is not None:
            mover, source = came[goal]
            if source is not None:
                self._remove(mover)
            self._put(mover, goal)
            goal = source

    def _best(self, contract: StandbyDemand) -> int | None:
        """A worker with a line for a contract: the best one, but for loads that have changed since the first look."""
        owner = contract.owner
        if owner not in self._heaps:
            self._heaps[owner] = [self._candidate(owner, worker) for worker in self._open(owner)]
            heapq.heapify(self._heaps[owner])
        heap, aside = self._heaps[owner], []
        found = None
        while heap and found is None:
            item = heapq.heappop(heap)
            worker = item[-1]
            now = self._candidate(owner, worker)
            if not self._room(worker):
                continue
            if now[:2] > item[:2]:
                heapq.heappush(heap, now)
            else:
                aside.append(item)
                found = None if worker in contract.refused else worker
        for item in aside:
            heapq.heappush(heap, item)
        return found

    def _candidate(self, owner: int, worker: int) -> tuple[bool, int, int, int, int]:
        """The sort key: among equals each owner begins with another worker, so that loads are even at once."""
        return (*self._cost(owner, worker), (worker - owner) % self._turns, worker)

    def _open(self, owner: int) -> Iterator[int]:
        """The workers that may be given a standby of ``owner``'s contracts, and have a line."""
        for worker, capacity in self._capacities.items():
            if worker != owner and not capacity.closed and self._room(worker):
                yield worker

    def _cost(self, owner: int, worker: int) -> tuple[bool, int, int]:
        """How bad it is to have standbys of an owner's contracts at a worker."""
        node = self._nodes.get(owner, "")
        return (bool(node) and node == self._capacities[worker].node, self._pairs[owner, worker], self._load[worker])

    def _lightest(self) -> int:
        return min(
            (self._load[w] for w, capacity in self._capacities.items() if not capacity.closed and self._room(w)),
            default=0,
        )

    def _allowed(self, contract: StandbyDemand, worker: int) -> bool:
        return worker in self._capacities and worker != contract.owner and worker not in contract.refused

    def _may_get(self, contract: StandbyDemand, worker: int) -> bool:
        return self._allowed(contract, worker) and not self._capacities[worker].closed

    def _room(self, worker: int) -> bool:
        return self._load[worker] < self._capacities[worker].lines

    def _put(self, contract: StandbyDemand, worker: int) -> None:
        self.at[contract.conid] = worker
        self._held[worker][contract.conid] = contract
        self._load[worker] += 1
        self._pairs[contract.owner, worker] += 1

    def _remove(self, contract: StandbyDemand) -> None:
        worker = self.at.pop(contract.conid)
        del self._held[worker][contract.conid]
        self._load[worker] -= 1
        self._pairs[contract.owner, worker] -= 1
