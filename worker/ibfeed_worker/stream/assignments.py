"""The assignment of contracts to this worker: the operator's entries, epoch by epoch, until each is released."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from ibfeed_api.records import SCHEMA_DEPTH, SCHEMA_TICK, Tick
from ibfeed_api.shard import Entry, EntryState
from ibfeed_worker.book import Book
from ibfeed_worker.publish import PartitionWriter, Publisher
from ibfeed_worker.stream.books import Books
from ibfeed_worker.stream.contract import BOOK_COUNTS_PER_S, Contract, count_after_restart
from ibfeed_worker.stream.depth import Depth
from ibfeed_worker.stream.event_log import EventLog
from ibfeed_worker.stream.takeover import Takeover


class Assignments:
    """The contracts of a shard, as the operator gives and takes them."""

    def __init__(
        self,
        contracts: dict[int, Contract],
        publisher: Publisher,
        *,
        takeover: Takeover,
        books: Books,
        events: EventLog,
        left_behind: Mapping[int, int],
        on_begun: Callable[[int], None],
        on_released: Callable[[], None],
    ) -> None:
        """Create the assignments; they fill ``contracts``, by conid.

        Args:
            contracts: the streamer's own.
            publisher: makes the writers, and gives records up.
            takeover: takes contracts over.
            books: publishes their order books.
            events: gets ``released`` events.
            left_behind: conid to the epoch under which an earlier process published: that is over.
            on_begun: called with the conid of a contract that this worker did not have just before.
            on_released: called when a contract was released.
        """
        self._contracts: Final = contracts
        self._publisher: Final = publisher
        self._takeover: Final = takeover
        self._books: Final = books
        self._events: Final = events
        self._left_behind: Final = left_behind
        self._on_begun: Final = on_begun
        self._on_released: Final = on_released
        self._epochs: dict[int, int] = {}  # conid -> the highest epoch seen
        self._sent: dict[int, int] = {}  # conid -> event time of the latest record of the assignments that are over
        self._obeyed = False

    def obey(self, entries: tuple[Entry, ...]) -> None:
        """Follow the shard's entries. One of an epoch that is over is ignored."""
        wanted = {entry.conid: entry for entry in entries}
        for conid in self._contracts.keys() - wanted.keys():
            self._drop(self._contracts.pop(conid))
        for entry in entries:
            self._obey(entry)
        self._obeyed = True

    def retire_all(self) -> None:
        for contract in self._contracts.values():
            contract.retire()

    def release_idle(self) -> None:
        """Release each contract that is to be released and has nothing on its way any more."""
        for contract in list(self._contracts.values()):
            self.release_if_idle(contract)

    def release_if_idle(self, contract: Contract) -> None:
        if contract.release_if_idle():
            mark = contract.mark
            unknown = "nothing was published" if contract.located else "how far is not known"
            self._events.write("released", contract, f"up to {mark.event_time}" if mark else unknown)
            self._on_released()

    def give_up_stuck(self) -> None:
        """Give up contracts that another worker is to go on with, while Kafka takes nothing of ours.

        Unacknowledged records are not waited for; the heir finds out how far Kafka has the contract.
        """
        unreachable = self._publisher.status.reachable is False
        stuck = [contract for contract in self._contracts.values() if contract.is_stuck(unreachable=unreachable)]
        for contract in stuck:
            self._abandon(contract)
            contract.cut_off()
        writers = [writer for contract in stuck for writer in contract.writers]
        if any(not writer.idle for writer in writers):
            self._publisher.give_up(writers, "others are to publish what Kafka does not acknowledge")
        for contract in stuck:
            self.release_if_idle(contract)

    def cut_off(self) -> None:
        """Give up every contract that is ours to publish: the account is lost."""
        writers = [writer for contract in self._contracts.values() for writer in contract.writers]
        self._publisher.give_up(writers, "the account's Lease was lost")
        for contract in self._contracts.values():
            if contract.entry.state is not EntryState.STANDBY:
                self._abandon(contract)
                contract.cut_off()
                self.release_if_idle(contract)

    def _obey(self, entry: Entry) -> None:
        highest = self._epochs.get(entry.conid, 0)
        known = self._contracts.get(entry.conid)
        if entry.epoch < highest:
            return
        if known is None or entry.epoch > known.entry.epoch:
            self._begin(entry, known, began_before=not self._obeyed or entry.epoch == highest)
        elif not known.retires:
            self._revise(known, entry)

    def _revise(self, contract: Contract, entry: Entry) -> None:
        """Follow another entry of the same epoch. It leads from standby to active to retiring, never back."""
        contract.entry = entry
        if entry.state is EntryState.RETIRING:
            contract.retire()
        elif entry.state is EntryState.ACTIVE and not contract.publishes:
            contract.learn(entry.mark)
            self._takeover.take_over(contract, located=entry.mark is not None)
        elif entry.state is EntryState.STANDBY and contract.publishes:
            contract.retire()

    def _begin(self, entry: Entry, former: Contract | None, *, began_before: bool) -> None:
        """``began_before``: records of this epoch may be on Kafka that we do not know of; a mark is older than they."""
        if former is not None:
            self._abandon(former)
        contract = self._contract(entry, former, began_before=began_before)
        self._contracts[entry.conid] = contract
        self._epochs[entry.conid] = entry.epoch
        if former is None:
            self._on_begun(entry.conid)
        if self._left_behind.get(entry.conid) == entry.epoch or entry.state is EntryState.RETIRING:
            contract.retire()
        elif entry.state is EntryState.ACTIVE:
            went_on = former is not None and former.flows
            self._takeover.take_over(contract, located=went_on or (entry.mark is not None and not began_before))
            if contract.flows and former is not None and former.depth.on:
                self._books.go_on(contract)

    def _contract(self, entry: Entry, former: Contract | None, *, began_before: bool) -> Contract:
        """Return the contract of a new epoch, on standby."""
        now_s = time.time()
        known = not began_before and (former is None or former.located)
        if former is not None:
            interrupted = former.interrupted
        elif not self._obeyed:
            interrupted = "this worker's process started"
        else:
            interrupted = "the contract came to this worker"
        return Contract(
            entry,
            writer=self._writer(entry, SCHEMA_TICK),
            depth=Depth(
                former.depth.book if former else Book(entry.conid, entry.symbol),
                writer=self._writer(entry, SCHEMA_DEPTH),
                count=count_after_restart(now_s, entry.epoch, BOOK_COUNTS_PER_S) if began_before else 0,
            ),
            former=former,
            count=count_after_restart(now_s, entry.epoch) if began_before else 0,
            located=known and entry.state is not EntryState.STANDBY,
            interrupted=interrupted,
            own=self._sent.get(entry.conid),
            fresh=entry.fresh and not began_before,
        )

    def _drop(self, contract: Contract) -> None:
        self._abandon(contract)
        if contract.entry.state is not EntryState.STANDBY and not contract.released:
            self._events.write("released", contract, "taken away by the operator")

    def _abandon(self, contract: Contract) -> None:
        """Its epoch is over. Ticks that were not given to Kafka are held, in case that we go on."""
        if isinstance(contract.writer.waiting, Tick):
            contract.held.put_back(contract.writer.waiting)
        self._publisher.send_queue.abandon(contract.writer)
        self._publisher.send_queue.abandon(contract.depth.writer)
        if contract.sent is not None:
            self._sent[contract.entry.conid] = contract.sent

    def _writer(self, entry: Entry, schema: str) -> PartitionWriter:
        return self._publisher.writer(entry.conid, entry.symbol, slot=entry.slot, epoch=entry.epoch, schema=schema)
