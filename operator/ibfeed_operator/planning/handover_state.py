"""The state of all hand-overs of a feed: shards, reports, and the phase of each contract. Pure, and free of effects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ibfeed_api.shard import ContractState, Entry, EntryState, Report

_OBEYED: Final = frozenset(
    {ContractState.PUBLISHING, ContractState.SUBSCRIBING, ContractState.SILENT, ContractState.REFUSED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One shard as the hand-over sees it.

    ``streaming``: its worker is logged in and does what the shard says. ``leaving``: but it is about to stop, so that
    nothing may go, or turn back, to it. ``silent``: no process that obeyed this shard can be publishing any more (its
    container is dead, or it must have stopped by itself since it has not renewed its Lease). ``ended``: conid to the
    epoch under which an earlier process of this worker was last seen publishing it. ``home``: conids that others have
    until it has logged in anew. ``lines``, ``ladders``: hard limits
    of its account.
    """

    worker: int
    entries: tuple[Entry, ...] = ()
    reports: tuple[Report, ...] = ()
    streaming: bool = True
    leaving: bool = False
    silent: bool = False
    ended: Mapping[int, int] = field(default_factory=dict)
    home: tuple[int, ...] = ()
    lines: int = 100
    ladders: int = 1


class Phase(StrEnum):
    """How far a contract is on its way to its target: A has had it, B is the target."""

    UNPLACED = "unplaced"  # no worker has it
    ASSIGNED = "assigned"  # Active at A, which has not obeyed yet
    SETTLED = "settled"  # Active at A, and B does not stand by
    WARMING = "warming"  # Active at A; B stands by and is not warm
    WARM = "warm"  # Active at A; B is warm
    WARM_EARLY = "warm early"  # Active at A, which has not obeyed yet; B is warm
    TURNED_BACK = "turned back"  # Active at A again; B stands by under an older epoch
    RETIRING = "retiring"  # A is to let go; B stands by
    RELEASED = "released"  # A has let go; B stands by
    ACTIVATED = "activated"  # Active at B, which does not publish yet; A's entry is still there
    TAKEN_OVER = "taken over"  # B publishes; A's entry is still there
    MOVING_ON = "moving on"  # Active at another worker than A, whose entry is still there; the target stands by
    BREAKING = "breaking"  # A is to let go; no worker stands by
    BROKEN = "broken"  # A has let go; no worker stands by
    BOTH_RETIRED = "both retired"  # several workers are to let go, or have


def owners(holdings: Iterable[Holding]) -> dict[int, int]:
    """By conid the worker of each contract now: where it is Active, else where it still retires."""
    return _best(holdings, {EntryState.ACTIVE: 2, EntryState.RETIRING: 1}, ())


def current_assignment(
    holdings: Iterable[Holding], *, among: Collection[int], ready: Collection[int]
) -> dict[int, int]:
    """By conid the worker, one of ``among``, that has a contract or is to get it: the planner's ``previous``.

    A move that is under way counts as made, or the planner would think of it anew, as long as its goal is one of
    ``ready``, the workers that stream; else it counts as not begun.
    """
    ranks = {EntryState.ACTIVE: 2, EntryState.RETIRING: 1, EntryState.STANDBY: 0}
    return _best((holding for holding in holdings if holding.worker in among), ranks, ready)


def hot_standbys(holdings: Iterable[Holding]) -> dict[int, int]:
    """By conid the worker that holds a contract ready; the newer one while another is about to go."""
    found: dict[int, tuple[int, int]] = {}
    for holding in holdings:
        for entry in holding.entries:
            if entry.hot:
                found[entry.conid] = max(found.get(entry.conid, (0, 0)), (entry.epoch, holding.worker))
    return {conid: worker for conid, (_, worker) in found.items()}


def _best(holdings: Iterable[Holding], ranks: Mapping[EntryState, int], ready: Collection[int]) -> dict[int, int]:
    """By conid the worker whose entry has the highest rank, then epoch; ``ready`` workers' Standby entries win."""
    best: dict[int, tuple[int, int, int]] = {}
    for holding in holdings:
        for entry in holding.entries:
            if entry.hot or (rank := ranks.get(entry.state)) is None:
                continue
            wins = entry.state is EntryState.STANDBY and holding.worker in ready
            claim = (3 if wins else rank, entry.epoch, holding.worker)
            best[entry.conid] = max(best.get(entry.conid, claim), claim)
    return {conid: worker for conid, (_, _, worker) in best.items()}


class HandoverState:
    """The shards of one feed, as they are written and reported now."""

    def __init__(self, holdings: Sequence[Holding]) -> None:
        self.holdings: Final = {holding.worker: holding for holding in holdings}
        self.placed: Final[dict[int, dict[int, Entry]]] = {}  # conid -> worker -> entry, but for hot standbys
        self.hot: Final[dict[int, dict[int, Entry]]] = {}  # the same of hot standbys, which take no part in moves
        for holding in holdings:
            for entry in holding.entries:
                found = self.hot if entry.hot else self.placed
                found.setdefault(entry.conid, {})[holding.worker] = entry
        self._reports: Final = {(h.worker, report.conid): report for h in holdings for report in h.reports}
        self._kafka_epochs: Final[dict[int, int]] = {}
        for report in self._reports.values():
            if report.kafka_epoch is not None:
                known = self._kafka_epochs.get(report.conid, 0)
                self._kafka_epochs[report.conid] = max(known, report.kafka_epoch)

    def phase(self, conid: int, target: int | None) -> Phase:
        """The phase of a contract whose plan is ``target``; Standby entries of other workers do not count."""
        placed = self.placed.get(conid, {})
        by_epoch = sorted(placed.items(), key=lambda item: item[1].epoch)
        active = [item for item in by_epoch if item[1].state is EntryState.ACTIVE]
        retiring = [item for item in by_epoch if item[1].state is EntryState.RETIRING]
        there = placed.get(target) if target is not None else None
        standby = there if there is not None and there.state is EntryState.STANDBY else None
        if active:
            return self._phase_while_active(*active[-1], target, standby, bool(retiring))
        if not retiring:
            return Phase.UNPLACED
        if len(retiring) > 1:
            return Phase.BOTH_RETIRED
        released = self.let_go(*retiring[0])
        if standby is not None:
            return Phase.RELEASED if released else Phase.RETIRING
        return Phase.BROKEN if released else Phase.BREAKING

    def _phase_while_active(
        self, worker: int, entry: Entry, target: int | None, standby: Entry | None, retiring: bool
    ) -> Phase:
        if retiring:
            if standby is not None:
                return Phase.MOVING_ON
            return Phase.TAKEN_OVER if self.says(worker, entry, ContractState.PUBLISHING) else Phase.ACTIVATED
        if standby is None or target is None:
            return Phase.SETTLED if self.obeys(worker, entry) else Phase.ASSIGNED
        if self.is_outdated(standby, entry):
            return Phase.TURNED_BACK
        if not self.warm(target, standby):
            return Phase.WARMING
        return Phase.WARM if self.obeys(worker, entry) else Phase.WARM_EARLY

    def standing_at(self, conid: int, worker: int) -> Entry | None:
        """The entry of a contract at a worker, of whatever kind."""
        there = self.placed.get(conid, {}).get(worker)
        return there if there is not None else self.hot.get(conid, {}).get(worker)

    def epochs(self, conid: int) -> list[int]:
        """The epochs of all entries of a contract."""
        return [entry.epoch for found in (self.placed, self.hot) for entry in found.get(conid, {}).values()]

    def lives(self, worker: int) -> bool:
        return self.holdings[worker].streaming and not self.holdings[worker].silent

    def ends(self, worker: int) -> bool:
        """Whether this process is about to stop and may still be publishing."""
        return self.holdings[worker].leaving and not self.holdings[worker].silent

    def up(self, worker: int, entry: Entry, *, released: bool = False) -> bool:
        """Whether the process that had this entry goes on with it; ``released``: or can, since it buffers still."""
        if not self.lives(worker) or self.holdings[worker].ended.get(entry.conid) == entry.epoch:
            return False
        return released or not self.says(worker, entry, ContractState.RELEASED)

    def warm(self, worker: int, entry: Entry) -> bool:
        return self.lives(worker) and self.says(worker, entry, ContractState.WARM)

    def obeys(self, worker: int, entry: Entry) -> bool:
        """Whether a worker knows that an entry is Active; ``warm`` was said of the same epoch while it stood by."""
        report = self.report(worker, entry)
        return report is not None and report.state in _OBEYED

    def says(self, worker: int, entry: Entry, state: ContractState) -> bool:
        report = self.report(worker, entry)
        return report is not None and report.state is state

    def report(self, worker: int, entry: Entry) -> Report | None:
        """The worker's report of this very assignment; one with another epoch speaks of an assignment that is over."""
        report = self._reports.get((worker, entry.conid))
        return report if report is not None and report.epoch == entry.epoch else None

    def let_go(self, worker: int, entry: Entry) -> bool:
        """Whether a retiring contract is no longer published by its old worker."""
        if entry.state is not EntryState.RETIRING:
            return False
        return self.holdings[worker].silent or self.says(worker, entry, ContractState.RELEASED)

    def is_outdated(self, standby: Entry, active: Entry) -> bool:
        """Whether a Standby entry needs a new epoch: the Active one got one meanwhile, or Kafka has a higher one."""
        return standby.epoch <= max(active.epoch, self.on_kafka(active.conid))

    def waits_for_an_epoch(self, worker: int, entry: Entry) -> bool:
        """Whether a worker publishes nothing since Kafka has records of this epoch, or of a higher one."""
        return entry.epoch <= self.on_kafka(entry.conid) and self.up(worker, entry)

    def on_kafka(self, conid: int) -> int:
        """The contract's latest epoch on Kafka, if any worker was surprised by it; whatever became of that worker."""
        return self._kafka_epochs.get(conid, 0)
