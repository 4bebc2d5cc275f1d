"""The hand-over: from a plan to the next entries of each IbShard. Pure; the owner of a contract changes only here.

Invariants, whatever crashes between any two writes:

- at most one entry of a contract is ``Active``, over all shards;
- a contract becomes ``Active`` elsewhere only after its old worker reported ``released`` with the entry's epoch, or can
  no longer be publishing (``Holding.silent``);
- its epoch only grows. The old entry keeps the last epoch until the new one stands, so that no crash forgets it; one
  that has no entry starts above all epochs that the feed ever had.

``step`` looks at what is written *now* and returns shards to rewrite. Its rewrites may be made in any order, and any
of them may fail: calling ``step`` again with what is then there goes on from that point. ``step`` returns nothing when
only a worker's report, or a new plan, can bring the move further:

    Active at A  ->  Retiring at A  ->  (A released or silent)  ->  Active at B, epoch + 1  ->  A's entry goes
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ibfeed_api.names import ContractState, EntryState
from ibfeed_api.shard import Entry, Mark, Report
from ibfeed_operator.facts import Contract


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One shard as the hand-over sees it.

    ``silent``: no process that obeyed this shard can be publishing any more (its container is dead, or it must have
    stopped by itself since it has not renewed its Lease). ``ended``: conid to the epoch under which an earlier process
    of this worker was last seen publishing it. ``lines``, ``ladders``: hard limits of its account.
    """

    worker: int
    entries: tuple[Entry, ...] = ()
    reports: tuple[Report, ...] = ()
    silent: bool = False
    ended: Mapping[int, int] = field(default_factory=dict)
    lines: int = 100
    ladders: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where contracts shall be. A contract that is in no ``owners`` shall be nowhere; its entries go."""

    contracts: Mapping[int, Contract]
    owners: Mapping[int, int]  # conid -> worker
    ladders: frozenset[int] = frozenset()  # conids whose order books are granted
    highest_epoch: int = 0  # of any contract that the feed ever had, as IbFeed.status remembers it


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The complete new list of entries of one worker's shard."""

    worker: int
    entries: tuple[Entry, ...]


def owners(holdings: Iterable[Holding]) -> dict[int, int]:
    """Who has each contract now: where it is Active, else where it is Retiring still. The planner's ``previous``."""
    best: dict[int, tuple[bool, int, int]] = {}
    for holding in holdings:
        for entry in holding.entries:
            if entry.state is EntryState.STANDBY:
                continue
            claim = (entry.state is EntryState.ACTIVE, entry.epoch, holding.worker)
            best[entry.conid] = max(best.get(entry.conid, claim), claim)
    return {conid: worker for conid, (_, _, worker) in best.items()}


def step(holdings: Sequence[Holding], targets: Targets) -> tuple[Rewrite, ...]:
    """Return the shards whose entries change next; see the module's text."""
    return _Step(holdings, targets).rewrites()


class _Step:
    def __init__(self, holdings: Sequence[Holding], targets: Targets) -> None:
        self._targets = targets
        self._holdings = {holding.worker: holding for holding in holdings}
        self._reports = {(holding.worker, report.conid): report for holding in holdings for report in holding.reports}
        self._next = {holding.worker: {entry.conid: entry for entry in holding.entries} for holding in holdings}
        self._used = {
            holding.worker: sum(not self._let_go(holding.worker, entry) for entry in holding.entries)
            for holding in holdings
        }
        self._placed: dict[int, list[tuple[int, Entry]]] = {}
        for holding in holdings:
            for entry in holding.entries:
                self._placed.setdefault(entry.conid, []).append((holding.worker, entry))

    def rewrites(self) -> tuple[Rewrite, ...]:
        # Nearest contracts first: where a worker's lines are short, they get the ones that become free.
        def nearness(conid: int) -> tuple[str, int]:
            contract = self._targets.contracts.get(conid)
            return (contract.last_trading_day if contract else "", conid)

        for conid in sorted(self._placed.keys() | self._targets.owners.keys(), key=nearness):
            self._advance(conid)
        result = []
        for worker, holding in self._holdings.items():
            entries = self._with_books(holding, sorted(self._next[worker].values(), key=lambda entry: entry.slot))
            if {entry.conid: entry for entry in entries} != {entry.conid: entry for entry in holding.entries}:
                result.append(Rewrite(worker, entries))
        return tuple(result)

    def _advance(self, conid: int) -> None:
        """Bring one contract one step further."""
        placed = self._placed.get(conid, [])
        target = self._targets.owners.get(conid) if conid in self._targets.contracts else None
        active = sorted((item for item in placed if item[1].state is EntryState.ACTIVE), key=lambda it: it[1].epoch)
        retiring = [item for item in placed if item[1].state is EntryState.RETIRING]

        for worker, entry in placed:
            if entry.state is EntryState.STANDBY:  # owns nothing
                del self._next[worker][conid]
        if active:
            for worker, entry in active[:-1]:  # nothing of ours writes this; a person may have
                self._put(worker, entry, state=EntryState.RETIRING)
            worker, entry = active[-1]
            if worker == target:
                self._stay(worker, entry)
                for old, retired in retiring:
                    if self._let_go(old, retired):
                        del self._next[old][conid]
            else:
                self._put(worker, entry, state=EntryState.RETIRING)
            return
        if not all(worker == target or self._let_go(worker, entry) for worker, entry in retiring):
            return
        if target is None:
            # The newest entry goes last, and only once the status has its epoch: should the contract come back (its
            # root removed and added again), its records must not count from the start.
            by_epoch = sorted(retiring, key=lambda item: item[1].epoch)
            for worker, entry in by_epoch if len(by_epoch) == 1 else by_epoch[:-1]:
                if entry.epoch <= self._targets.highest_epoch:
                    del self._next[worker][conid]
        else:
            self._activate(target, conid, retiring)

    def _stay(self, worker: int, entry: Entry) -> None:
        """Keep an entry where it is; under a new epoch if the process that had it has ended or let go.

        Its successor would otherwise write under the same epoch, and count its records from the start again.
        """
        contract = self._targets.contracts[entry.conid]
        kept = _entry(contract, epoch=entry.epoch, depth=entry.depth, mark=entry.mark)
        holding = self._holdings[worker]
        report = self._report(worker, entry)
        over = report is not None and (holding.silent or report.state is ContractState.RELEASED)
        if over or holding.ended.get(entry.conid) == entry.epoch:
            mark = _mark(report) if report is not None else None
            kept = _entry(contract, epoch=entry.epoch + 1, depth=entry.depth, mark=mark)
        self._next[worker][entry.conid] = kept

    def _activate(self, worker: int, conid: int, retiring: Sequence[tuple[int, Entry]]) -> None:
        holding = self._holdings.get(worker)
        if holding is None:
            return
        mine = any(old == worker and not self._let_go(old, entry) for old, entry in retiring)
        if not mine:
            if self._used[worker] >= holding.lines:
                return  # until another contract has left: IB ignores in silence what exceeds an account's lines
            self._used[worker] += 1
        epoch = max((entry.epoch for _, entry in retiring), default=self._targets.highest_epoch) + 1
        marks = [
            (report.epoch, mark)
            for old, entry in retiring
            if (report := self._report(old, entry)) is not None and (mark := _mark(report)) is not None
        ]
        mark = max(marks, key=lambda item: item[0])[1] if marks else None
        self._next[worker][conid] = _entry(self._targets.contracts[conid], epoch=epoch, mark=mark)

    def _with_books(self, holding: Holding, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Grant order books: one account has few, and one that is being given up is taken until it is."""
        free = holding.ladders - sum(
            entry.depth and entry.state is EntryState.RETIRING and not self._let_go(holding.worker, entry)
            for entry in entries
        )
        result = []
        for entry in entries:
            if entry.state is EntryState.ACTIVE:
                depth = entry.conid in self._targets.ladders and free > 0
                free -= depth
                entry = msgspec.structs.replace(entry, depth=depth)
            result.append(entry)
        return tuple(result)

    def _put(self, worker: int, entry: Entry, *, state: EntryState) -> None:
        self._next[worker][entry.conid] = msgspec.structs.replace(entry, state=state)

    def _report(self, worker: int, entry: Entry) -> Report | None:
        """What the worker says of this very assignment; a report with another epoch speaks of one that is over."""
        report = self._reports.get((worker, entry.conid))
        return report if report is not None and report.epoch == entry.epoch else None

    def _let_go(self, worker: int, entry: Entry) -> bool:
        """Whether a retiring contract is no longer published, nor subscribed, by its old worker."""
        if entry.state is not EntryState.RETIRING:
            return False
        if self._holdings[worker].silent:
            return True
        report = self._report(worker, entry)
        return report is not None and report.state is ContractState.RELEASED


def _entry(contract: Contract, *, epoch: int, depth: bool = False, mark: Mark | None = None) -> Entry:
    return Entry(
        conid=contract.conid,
        symbol=contract.symbol,
        root=contract.root,
        exchange=contract.exchange,
        contract_month=contract.contract_month,
        last_trading_day=contract.last_trading_day,
        slot=contract.slot,
        epoch=epoch,
        state=EntryState.ACTIVE,
        depth=depth,
        mark=mark,
    )


def _mark(report: Report) -> Mark | None:
    """How far ``released`` says that the contract was published; of other reports the number may be old."""
    if report.state is not ContractState.RELEASED or report.event_time is None or report.seq is None:
        return None
    return Mark(event_time=report.event_time, seq=report.seq)
