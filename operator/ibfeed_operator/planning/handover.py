"""The hand-over: from a plan to the next entries of each IbShard. Pure; the owner of a contract changes only here.

Invariants, whatever crashes between any two writes:

- at most one entry of a contract is ``Active``, over all shards;
- a contract becomes ``Active`` elsewhere only after its old worker reported ``released`` with the entry's epoch, or can
  no longer be publishing (``Holding.silent``);
- its epochs only grow and none is given twice, so that no old report speaks for a new entry: the newest entry goes only
  when the feed's status remembers its epoch, and each new one is above all that are there or remembered;
- they grow for the readers of Kafka, too, whatever became of the resource and its status: a new one is not below the
  clock's (``Targets.floor``), and above all that a worker has found on Kafka. A worker that finds there that its epoch
  is used up publishes nothing, says so (``Report.kafka_epoch``) and is given another one.

``step`` looks at what is written *now* and returns shards to rewrite. Its rewrites may be made in any order, and any
of them may fail: calling ``step`` again with what is then there goes on from that point. ``step`` returns nothing when
only a worker's report, or a new plan, can bring the move further. A planned move makes before it breaks:

    Active at A  ->  and Standby at B  ->  (B warm)  ->  Retiring at A  ->  (A released)  ->  Active at B
                 ->  (B publishing)  ->  A's entry goes

B takes everything after A's mark from its buffer. A goes on buffering until its entry goes, so that the move can turn
back at each step: before ``Retiring`` only B's entry goes; after it A becomes ``Active`` again, under a new epoch.
So it does when B dies while A holds it still, even if the plan then says a third worker that is not warm.
Where A does not stream, its contract is Retiring at once, and Active at B once A has let go. Where B's account has no
line to spare the move waits for one; only if that line in turn waits for this move, as when two full accounts exchange
contracts, is it made the same way. Of the contracts on their way to B only ``WARMING_AT_ONCE`` are warmed at a time.

A contract that a stopping worker can hand to no other retires last, when the rest has been handed over. So the worker
need not wait for what will not come. It stays Retiring, and is Active there again, under a new epoch, when the
next process has taken its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ibfeed_api.shard import ContractState, Entry, EntryState, Mark, Report
from ibfeed_operator.model.types import Contract
from ibfeed_operator.planning.account_lines import AccountLines
from ibfeed_operator.planning.handover_state import HandoverState, Holding, Phase
from ibfeed_operator.planning.hot_standbys import HotStandbys

# New subscriptions that planned moves ask of one account at a time. IB documents no limit for the websocket; 25 in a
# burst were seen not to be throttled, and throttled is the address, with all workers behind it.
WARMING_AT_ONCE: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where contracts shall be. A contract that is in no ``owners`` shall be nowhere; its entries go."""

    contracts: Mapping[int, Contract]
    owners: Mapping[int, int]  # conid -> worker
    standbys: Mapping[int, int] = field(default_factory=dict)  # conid -> worker that holds it ready; nearest first
    ladders: frozenset[int] = frozenset()  # conids whose order books are granted
    floor: int = 0  # no new epoch is below it
    epochs: Mapping[int, int] = field(default_factory=dict)  # conid -> its latest, as IbFeed.status remembers it
    highest_epoch: int = 0  # of any contract that the feed ever had: it counts for those without an epoch of their own
    fresh: frozenset[int] = frozenset()  # conids of which the status remembers no epoch
    warming_at_once: int = WARMING_AT_ONCE


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The complete new list of entries of one worker's shard."""

    worker: int
    entries: tuple[Entry, ...]


def step(holdings: Sequence[Holding], targets: Targets) -> tuple[Rewrite, ...]:
    """Return the shards whose entries change next; see the module's text."""
    return _Step(holdings, targets).rewrites()


class _Step:
    def __init__(self, holdings: Sequence[Holding], targets: Targets) -> None:
        self._targets = targets
        self._state = state = HandoverState(holdings)
        self._holdings, self._placed = state.holdings, state.placed
        self._next = {holding.worker: {entry.conid: entry for entry in holding.entries} for holding in holdings}
        self._hot = HotStandbys(state, targets.standbys, self._goal)
        arriving = Counter(
            worker
            for conid, worker in targets.owners.items()
            if conid in targets.contracts and state.standing_at(conid, worker) is None
        )
        # They make room first: what is to be published comes before what is held ready.
        dropped = [item for item in self._hot.superfluous(arriving) if self._is_remembered(item[1])]
        for worker, entry in dropped:
            del self._next[worker][entry.conid]
        self._lines = AccountLines(self._state, self._goal, arriving, dropped)

    def rewrites(self) -> tuple[Rewrite, ...]:
        # Nearest contracts first: where a worker's lines are short, they get the ones that become free.
        def nearness(conid: int) -> tuple[str, int]:
            contract = self._targets.contracts.get(conid)
            return (contract.last_trading_day if contract else "", conid)

        for conid in sorted(self._placed.keys() | self._targets.owners.keys(), key=nearness):
            self._advance(conid)
        for conid, worker in self._hot.missing(self._lines, self._targets.warming_at_once):
            self._stand_by(worker, conid, hot=True)
        result = []
        for worker, holding in self._holdings.items():
            entries = self._with_books(holding, sorted(self._next[worker].values(), key=lambda entry: entry.slot))
            if {entry.conid: entry for entry in entries} != {entry.conid: entry for entry in holding.entries}:
                result.append(Rewrite(worker, entries))
        return tuple(result)

    def _goal(self, conid: int) -> int | None:
        """The worker that shall have a contract; None: it shall be nowhere."""
        return self._targets.owners.get(conid) if conid in self._targets.contracts else None

    def _advance(self, conid: int) -> None:
        """Bring one contract one step further."""
        target = self._goal(conid)
        if target is not None and target not in self._holdings:
            return
        there = self._placed.get(conid, {})
        only = there.get(target) if target is not None and len(there) == 1 else None
        if target is not None and only is not None and only.state is EntryState.ACTIVE and not self._state.ends(target):
            self._stay(target, only)  # it rests, as nearly all of them do
            return
        placed = sorted(there.items(), key=lambda item: item[1].epoch)
        active = [item for item in placed if item[1].state is EntryState.ACTIVE]
        retiring = [item for item in placed if item[1].state is EntryState.RETIRING]
        if target is not None:
            target = self._heir(conid, [*retiring, *active], target)
        for worker, entry in placed:
            if entry.state is EntryState.STANDBY and worker != target:
                self._drop(worker, entry)
        for worker, entry in active[:-1]:  # nothing of ours writes this; a person may have
            self._put(worker, entry, state=EntryState.RETIRING)
        match phase := self._state.phase(conid, target):
            case Phase.UNPLACED:
                if target is not None and self._has_line(target, conid):
                    self._activate(target, conid, ())
            case Phase.BREAKING | Phase.RETIRING | Phase.BROKEN | Phase.RELEASED | Phase.BOTH_RETIRED:
                if target is not None:
                    self._succeed(conid, target, retiring)
                else:
                    self._drop_released(retiring)
            case _:
                self._clear(retiring, *active[-1], target)
                self._keep_or_retire(*active[-1], target, phase)

    def _keep_or_retire(self, worker: int, entry: Entry, target: int | None, phase: Phase) -> None:
        """Go on with what is Active at ``worker``."""
        stays = worker == target or (target is not None and self._state.waits_for_an_epoch(worker, entry))
        if stays and not self._state.ends(worker):
            self._stay(worker, entry)
        elif self._may_retire(worker, entry, target, phase):
            self._put(worker, entry, state=EntryState.RETIRING)

    def _heir(self, conid: int, had: Sequence[tuple[int, Entry]], target: int) -> int:
        """``target``; but if it is cold and who had the contract last is gone: who holds what came since then.

        ``had``: where the contract is, or was, Active, the last one last.
        """
        there = self._state.standing_at(conid, target)
        warm = there is not None and (there.state is not EntryState.STANDBY or self._state.warm(target, there))
        if warm or (had and self._state.up(*had[-1], released=True)):
            return target
        holders = (
            old for old, entry in had[:-1] if self._state.up(old, entry, released=True) and not self._state.ends(old)
        )
        if (holder := next(holders, None)) is not None:
            return holder
        heir = self._hot.heir(conid)
        return target if heir is None else heir

    def _drop_released(self, retiring: Sequence[tuple[int, Entry]]) -> None:
        for worker, entry in retiring:
            if self._state.let_go(worker, entry):
                self._drop(worker, entry)

    def _clear(self, retiring: Sequence[tuple[int, Entry]], worker: int, entry: Entry, target: int | None) -> None:
        """Drop what has retired, once the move that ended at ``worker`` cannot turn back there any more."""
        done = self._state.says(worker, entry, ContractState.PUBLISHING)
        for old, retired in retiring:
            useful = self._state.lives(old) and (old == target or not done)
            if self._state.let_go(old, retired) and not useful:
                self._drop(old, retired)

    def _may_retire(self, worker: int, entry: Entry, target: int | None, phase: Phase) -> bool:
        """Whether ``target`` is warm, or need not be waited for; if not, see that it becomes so."""
        if target is None or target == worker:
            return not (self._state.ends(worker) and self._relieved_by_others(worker))
        if not self._state.up(worker, entry):
            return True
        if self._state.ends(target):
            return False
        match phase:
            case Phase.ASSIGNED | Phase.SETTLED | Phase.ACTIVATED | Phase.TAKEN_OVER:
                there = self._placed[entry.conid].get(target)
                if there is None:
                    return self._begin(worker, entry, target)
                # It holds what came since it retired, and says so at once; but not if its process was replaced.
                if self._state.let_go(target, there):
                    self._stand_by(target, entry.conid)
                return False
            case Phase.TURNED_BACK:
                self._stand_by(target, entry.conid)
                return False
            case Phase.MOVING_ON:
                return self._moves_on(worker, entry, target)
            case _:
                # The old worker buffered updates from before this entry, and publishes them when it obeys it: no other
                # worker has them. So a target that is warm early waits.
                return phase is Phase.WARM

    def _begin(self, worker: int, entry: Entry, target: int) -> bool:
        """Have ``target`` stand by, if its account has a line; whether the move must break before it makes instead."""
        if not self._has_line(target, entry.conid):  # IB ignores in silence what exceeds an account's lines
            return not self._lines.becomes_free(target) and (
                self._state.ends(worker) or worker in self._lines.beyond(target)
            )
        if self._state.says(worker, entry, ContractState.PUBLISHING):
            if self._lines.warming[target] >= self._targets.warming_at_once:
                return False
            self._lines.warming[target] += 1
        self._use_line(target, entry.conid)
        self._stand_by(target, entry.conid)
        return False

    def _moves_on(self, worker: int, entry: Entry, target: int) -> bool:
        """The same of a contract that has just come to ``worker``, and is to go on to ``target``, which stands by."""
        there = self._placed[entry.conid][target]
        if self._state.is_outdated(there, entry):
            self._stand_by(target, entry.conid)
            return False
        return self._state.warm(target, there) and self._state.obeys(worker, entry)

    def _succeed(self, conid: int, target: int, retiring: Sequence[tuple[int, Entry]]) -> None:
        """Nobody has the contract Active: give it to ``target``, or back to who had it last."""
        there = self._state.standing_at(conid, target)
        if self._state.ends(target):
            return
        room = self._has_line(target, conid)
        worker, entry = retiring[-1]
        back = self._state.up(worker, entry, released=True) and not self._holdings[worker].leaving
        if there is not None and there.state is EntryState.RETIRING:
            heir = target
        elif back and room and not (there is not None and self._state.warm(target, there)):
            heir = worker
        else:
            heir = target
        # A worker that gets it back releases first, too, if it can: then it knows how far it has published.
        if not all(
            self._state.let_go(old, item) or (old == heir and not self._state.lives(old)) for old, item in retiring
        ):
            return
        if heir != target or room:
            self._activate(heir, conid, retiring)
            return
        for old, retired in retiring:  # two full accounts that exchange contracts: one must give up a line first
            self._drop(old, retired)

    def _stay(self, worker: int, entry: Entry) -> None:
        """Keep an entry where it is; under a new epoch if the process that had it has ended or let go.

        Its successor would otherwise write under the same epoch, and count its records from the start again.
        """
        contract = self._targets.contracts[entry.conid]
        kept = _entry(contract, epoch=entry.epoch, depth=entry.depth, fresh=entry.fresh, mark=entry.mark)
        holding = self._holdings[worker]
        report = self._state.report(worker, entry)
        over = report is not None and (holding.silent or report.state is ContractState.RELEASED)
        if over or holding.ended.get(entry.conid) == entry.epoch:
            mark = _mark(report) if report is not None else None
            kept = _entry(contract, epoch=self._fresh(entry.conid), depth=entry.depth, mark=mark)
        elif self._state.waits_for_an_epoch(worker, entry):
            # The contract's mark does not cover those records: Kafka is asked once more.
            kept = _entry(contract, epoch=self._fresh(entry.conid), depth=entry.depth, fresh=entry.fresh)
        self._next[worker][entry.conid] = kept

    def _stand_by(self, worker: int, conid: int, *, hot: bool = False) -> None:
        """Order books are not warmed: an account has few, and a book begins with a snapshot anyway."""
        contract = self._targets.contracts[conid]
        self._next[worker][conid] = _entry(contract, epoch=self._fresh(conid), state=EntryState.STANDBY, hot=hot)

    def _activate(self, worker: int, conid: int, retiring: Sequence[tuple[int, Entry]]) -> None:
        placed = self._placed.get(conid, {})
        there = self._state.standing_at(conid, worker)
        self._use_line(worker, conid)
        others = [self._state.on_kafka(conid), *(entry.epoch for old, entry in placed.items() if old != worker)]
        if retiring and there is not None and there.state is EntryState.STANDBY and there.epoch > max(others):
            epoch = there.epoch
        else:
            epoch = self._fresh(conid)
        # Only the last one to publish knows how far; an older mark would have what came after it published again.
        report = self._state.report(*retiring[-1]) if retiring else None
        mark = _mark(report) if report is not None else None
        fresh = not placed and conid in self._targets.fresh
        self._next[worker][conid] = _entry(self._targets.contracts[conid], epoch=epoch, fresh=fresh, mark=mark)

    def _with_books(self, holding: Holding, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Grant order books: one account has few, and one that is being given up is taken until it is."""
        free = holding.ladders - sum(
            entry.depth and entry.state is EntryState.RETIRING and not self._state.let_go(holding.worker, entry)
            for entry in entries
        )
        result = []
        for entry in entries:
            if entry.state is EntryState.ACTIVE:
                depth = entry.conid in self._targets.ladders and free > 0
                free -= depth
                if depth is not entry.depth:
                    entry = msgspec.structs.replace(entry, depth=depth)
            result.append(entry)
        return tuple(result)

    def _put(self, worker: int, entry: Entry, *, state: EntryState) -> None:
        self._next[worker][entry.conid] = msgspec.structs.replace(entry, state=state)

    def _drop(self, worker: int, entry: Entry) -> None:
        """Let an entry go, if its epoch is not forgotten by that: else a later entry would get the same one."""
        if self._is_remembered(entry):
            del self._next[worker][entry.conid]

    def _is_remembered(self, entry: Entry) -> bool:
        """Whether an entry's epoch would not be given again if the entry went."""
        newest = max(self._state.epochs(entry.conid))
        return entry.epoch < newest or entry.epoch <= self._remembered(entry.conid)

    def _has_line(self, worker: int, conid: int) -> bool:
        """Whether a worker has a line for a contract, which it may have subscribed already."""
        return self._state.standing_at(conid, worker) is not None or self._lines.has_room(worker)

    def _use_line(self, worker: int, conid: int) -> None:
        if self._state.standing_at(conid, worker) is None:
            self._lines.used[worker] += 1
            self._lines.arriving[worker] -= 1

    def _fresh(self, conid: int) -> int:
        """An epoch that no entry of this contract ever had, nor any record of it on Kafka."""
        had = [*self._state.epochs(conid), *(self._next[worker][conid].epoch for worker in self._at(conid))]
        return max(self._targets.floor, max([self._remembered(conid), self._state.on_kafka(conid), *had]) + 1)

    def _at(self, conid: int) -> Iterator[int]:
        """The workers that had an entry of a contract before this step, and have one after it."""
        for found in (self._placed, self._state.hot):
            yield from (worker for worker in found.get(conid, ()) if conid in self._next[worker])

    def _remembered(self, conid: int) -> int:
        return self._targets.epochs.get(conid, self._targets.highest_epoch)

    def _relieved_by_others(self, worker: int) -> bool:
        """Whether another worker is to take over something that is Active here."""
        where = self._targets.owners
        return self._state.lives(worker) and any(
            entry.state is EntryState.ACTIVE and where.get(entry.conid, worker) != worker
            for entry in self._holdings[worker].entries
        )


def _entry(
    contract: Contract,
    *,
    epoch: int,
    state: EntryState = EntryState.ACTIVE,
    hot: bool = False,
    depth: bool = False,
    fresh: bool = False,
    mark: Mark | None = None,
) -> Entry:
    return Entry(
        conid=contract.conid,
        symbol=contract.symbol,
        root=contract.root,
        exchange=contract.exchange,
        trading_class=contract.trading_class,
        multiplier=contract.multiplier,
        currency=contract.currency,
        contract_month=contract.contract_month,
        last_trading_day=contract.last_trading_day,
        slot=contract.slot,
        epoch=epoch,
        state=state,
        hot=hot,
        depth=depth,
        fresh=fresh,
        mark=mark,
    )


def _mark(report: Report) -> Mark | None:
    """How far ``released`` says that the contract was published; of other reports the number may be old."""
    if report.state is not ContractState.RELEASED or report.event_time is None or report.seq is None:
        return None
    return Mark(event_time=report.event_time, seq=report.seq)
