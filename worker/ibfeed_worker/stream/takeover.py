"""The take-over of contracts: Kafka is asked how far it has them, then what was held is published, then ticks flow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from ibfeed_api.log import Log
from ibfeed_api.records import Tick
from ibfeed_worker.publish import Publisher, Tail
from ibfeed_worker.stream.books import Books
from ibfeed_worker.stream.contract import Contract
from ibfeed_worker.stream.event_log import EventLog
from ibfeed_worker.stream.handover_buffer import HOT_NS, HeldTick

_log: Final = Log(__name__)


class Takeover:
    """The take-over of a shard's contracts. One search of Kafka's tail runs at a time."""

    def __init__(
        self,
        contracts: Mapping[int, Contract],
        publisher: Publisher,
        *,
        books: Books,
        events: EventLog,
        on_located: Callable[[Sequence[Contract]], None],
    ) -> None:
        """Create the take-over of ``contracts``, by conid: the streamer's own, which change.

        ``on_located``: called after a search, with the contracts that it was for.
        """
        self.outgrown = 0  # held ticks that were dropped for later ones
        self.holds_long = False  # hot standbys' ticks, too: while no heir can be named, its owner may be dead for long
        self._contracts: Final = contracts
        self._publisher: Final = publisher
        self._books: Final = books
        self._events: Final = events
        self._on_located: Final = on_located
        self._search: asyncio.Task[None] | None = None

    def take_over(self, contract: Contract, *, located: bool) -> None:
        """Take a contract over: at once if it is known how far Kafka has it, else as soon as Kafka has told."""
        self._events.write("assigned", contract, "")
        if located:
            self._go_on(contract)
        else:
            contract.locate()

    def search(self) -> None:
        """Ask Kafka for all contracts that wait for it, in one go; new ones after the others, it takes longer."""
        waiting = [contract for contract in self._contracts.values() if contract.waits_for_kafka]
        known = [contract for contract in waiting if not contract.fresh]
        if waiting and self._search is None and self._publisher.status.reachable:
            self._search = asyncio.create_task(self._locate(known or waiting, anywhere=not known), name="tail")

    async def watch(self) -> None:
        """End each contract that another worker publishes: Kafka has a higher epoch of it.

        For a worker that goes on although it can't renew its Lease. Nobody else may be able to tell it.
        """
        live = [contract for contract in self._contracts.values() if contract.flows]
        if not live or not self._publisher.status.reachable:
            return
        tails = await self._publisher.tails([contract.writer for contract in live], anywhere=False)
        ended = []
        for contract in live:
            tail, entry = tails[contract.writer], contract.entry
            if contract.flows and self._contracts.get(entry.conid) is contract and tail.epoch > entry.epoch:
                contract.overtaken(tail.epoch)
                ended.append(contract)
                _log.error(
                    "another worker publishes a contract: this one ends it",
                    conid=entry.conid,
                    symbol=entry.symbol,
                    epoch=entry.epoch,
                    on_kafka=tail.epoch,
                )
        if ended:
            self._on_located(ended)

    async def stop(self, limit: float) -> None:
        """Wait at most ``limit`` seconds for the search under way. Afterwards no contract waits for one any more."""
        if self._search is not None:
            await asyncio.wait({self._search}, timeout=limit)
        for contract in self._contracts.values():
            contract.stop_locating()

    async def close(self) -> None:
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)

    def on_tick(self, contract: Contract, tick: Tick, before: int | None) -> None:
        """Publish or hold a tick after an interruption, or of a contract that does not flow.

        ``before``: event time (ms) of the latest update before the interruption.
        """
        why = contract.interruption()
        if contract.flows:
            self._publish(contract, tick, why, before)
        elif contract.entry.hot and not self.holds_long:
            contract.held.add(HeldTick(tick, why, before), HOT_NS)  # what goes was published long ago
        else:
            self.outgrown += contract.held.add(HeldTick(tick, why, before))

    def _go_on(self, contract: Contract, doubt: str = "") -> None:
        for tick, why, after in contract.go_on(doubt):
            self._publish(contract, msgspec.structs.replace(tick, seq=contract.next_seq), why, after)

    def _publish(self, contract: Contract, tick: Tick, why: str, before: int | None) -> None:
        """``why``: what says that updates may be missing between ``before`` (event time, ms) and this tick."""
        contract.count += 1
        if why:
            self._events.write("gap", contract, why, from_ms=before, to_ms=tick.event_time)
        self._publisher.send_queue.publish(contract.writer, tick)

    async def _locate(self, contracts: Sequence[Contract], *, anywhere: bool) -> None:
        """``anywhere``: nobody remembers anything of them."""
        writers = [contract.writer for contract in contracts]
        try:
            tails = await self._publisher.tails(writers, anywhere=anywhere)
        except Exception as error:  # noqa: BLE001 - whatever it is, these contracts must not wait for ever
            _log.error("Kafka's tail could not be searched", error=f"{type(error).__name__}: {error}")
            tails = dict.fromkeys(writers, Tail(None, f"the search failed: {type(error).__name__}"))
        finally:
            self._search = None
        for contract in contracts:
            if contract.waits_for_kafka and self._contracts.get(contract.entry.conid) is contract:
                self._found(contract, tails[contract.writer])
        self._on_located(contracts)

    def _found(self, contract: Contract, tail: Tail) -> None:
        contract.learn(tail.mark)
        if tail.epoch >= contract.entry.epoch:
            contract.overtaken(tail.epoch)
            _log.warning(
                "Kafka has a contract under an epoch that is not below ours: waiting for a higher one",
                conid=contract.entry.conid,
                symbol=contract.entry.symbol,
                epoch=contract.entry.epoch,
                on_kafka=tail.epoch,
            )
            return
        doubt = ""
        if tail.doubt and not contract.fresh:
            doubt = f"what was published last is not known: {tail.doubt}"
            _log.warning(
                "a contract is taken over blindly",
                conid=contract.entry.conid,
                symbol=contract.entry.symbol,
                doubt=tail.doubt,
            )
        elif tail.mark is None:
            contract.never_published()
        self._go_on(contract, doubt)
        if not contract.fresh:  # a worker that released it has ended its book, one that died has not
            self._books.renounce(contract)
