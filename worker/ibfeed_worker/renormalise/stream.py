"""The stream's code without a network: recorded frames in, records out. No I/O.

Dispatcher, quote handler, normaliser, order books and send queue are those that run in a worker. Three things are not
in a recording of frames, and are supplied: contracts are published from their first frame on, under epoch 1, and Kafka
has room at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from ibfeed.recording.frames import Direction, Frames
from ibfeed_api.feed import Topic, Topics
from ibfeed_api.records import SCHEMA_DEPTH, SCHEMA_TICK, Tick
from ibfeed_api.shard import Entry, EntryState
from ibfeed_worker.book import Book, conid_of
from ibfeed_worker.publish import PartitionWriter
from ibfeed_worker.publish.broker import Broker, Delivered, Headers
from ibfeed_worker.publish.send_queue import SendQueue
from ibfeed_worker.stream.books import Books
from ibfeed_worker.stream.contract import Contract
from ibfeed_worker.stream.depth import Depth
from ibfeed_worker.stream.dispatcher import Dispatcher, FrameCounters
from ibfeed_worker.stream.frame import Frame
from ibfeed_worker.stream.quote_handler import QuoteHandler

_EPOCH: Final = 1
_UNLIMITED: Final = 1 << 62


class _Kafka:
    """A Kafka that has room for each record, and has it at once. Of a producer's methods the send queue calls one."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self._untold: list[Delivered] = []

    def produce(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, delivered: Delivered
    ) -> None:
        self.values.append(value)
        self._untold.append(delivered)

    def answer(self) -> None:
        untold, self._untold = self._untold, []
        for delivered in untold:
            delivered(None, None)


class Renormaliser:
    """The stream of one worker, of which frames were recorded."""

    def __init__(self, symbols: Mapping[int, str], depth: frozenset[int]) -> None:
        """Create the stream.

        Args:
            symbols: by conid, the contracts' symbols. Frames of others are left out, as in a worker.
            depth: conids of the contracts whose order books are published.
        """
        self.counters: Final = FrameCounters()
        self._kafka: Final = _Kafka()
        self._queue: Final = SendQueue(
            worker="renormalise-0",
            feed="renormalise",
            topics=Topics(),
            room=_UNLIMITED,
            may_write=lambda: True,
            on_departure=lambda: None,
            on_refusal=lambda: None,
        )
        self._queue.resume(cast("Broker", self._kafka))
        self._contracts: Final = {conid: self._contract(conid, symbol) for conid, symbol in symbols.items()}
        self._depth: Final = depth
        self._books: Final = Books(self._contracts, self._queue, on_dead=lambda: None)
        self._quotes: Final = QuoteHandler(
            self._contracts,
            self._queue,
            on_stray=lambda _: None,
            on_first=lambda contract, received_ns: contract.confirm(received_ns),
            on_interrupted=self._on_interrupted,
            on_type=self._on_type,
            on_move=self._books.on_move,
        )
        self._subscribed: Final[set[int]] = set()
        self._ladder: int | None = None  # conid of the ladder that was asked for
        self._messages = self._dispatcher()

    def opened(self) -> None:
        """A websocket was opened: nothing is subscribed on it yet."""
        self._subscribed.clear()
        self._ladder = None
        self._messages = self._dispatcher()
        for contract in self._contracts.values():
            contract.connection_lost()
        self._books.restart()

    def values(self, frames: Iterable[Frames]) -> Iterator[bytes]:
        """Yield the values of the records that the frames of one websocket lead to, in order."""
        for block in frames:
            for at_ns, direction, payload in zip(block.times, block.directions, block.payloads, strict=True):
                if direction == Direction.SENT:
                    self._on_sent(payload, at_ns)
                else:
                    self._messages.dispatch(payload, at_ns)
                self._kafka.answer()
                self._queue.after_answers()
                yield from self._kafka.values
                self._kafka.values.clear()

    def _dispatcher(self) -> Dispatcher:
        return Dispatcher(
            self.counters, on_quote=self._quotes.handle, on_other=self._on_other, on_malformed=lambda _: None
        )

    def _on_other(self, frame: Frame, _: bytes, received_ns: int) -> None:
        if frame.topic.partition("+")[0] != "sbd" or frame.error is not None:
            return
        conid = conid_of(frame.topic)
        if conid is None or conid != self._ladder:
            return  # of a ladder that had been ended: what was on its way still came
        contract = self._contracts.get(conid)
        if contract is not None and conid in self._depth and not contract.depth.on:
            self._queue.publish_book(
                contract.depth.writer,
                contract.depth.start(received_ns // 1_000_000),
                lambda: contract.depth.whole(received_ns // 1_000_000),
            )
        self._books.on_frame(frame, received_ns)

    def _on_sent(self, command: bytes, at_ns: int) -> None:
        """Follow our own commands, as the connection did."""
        verb, _, rest = command.partition(b"+")
        if verb in (b"sbd", b"ubd"):
            self._ladder = conid_of(command.decode()) if verb == b"sbd" else None
            self._books.restart()
            return
        number = rest.partition(b"+")[0]
        contract = self._contracts.get(int(number)) if number.isdigit() else None
        if contract is None:
            return
        conid = contract.entry.conid
        if verb == b"smd" and conid not in self._subscribed:  # else it is asked for a full frame
            self._subscribed.add(conid)
            contract.subscribed(at_ns / 1e9)
        elif verb == b"umd":
            self._subscribed.discard(conid)

    def _on_interrupted(self, contract: Contract, tick: Tick, _: int | None) -> None:
        contract.interruption()
        contract.count += 1
        self._queue.publish(contract.writer, tick)

    @staticmethod
    def _on_type(contract: Contract, after: str) -> None:
        contract.data_type = after

    def _contract(self, conid: int, symbol: str) -> Contract:
        entry = Entry(
            conid=conid, symbol=symbol, root="", exchange="", contract_month="", last_trading_day="",
            slot=0, epoch=_EPOCH, state=EntryState.ACTIVE,
        )  # fmt: skip
        contract = Contract(
            entry,
            writer=self._writer(entry, SCHEMA_TICK, Topic(name="ticklast")),
            depth=Depth(Book(conid, symbol), writer=self._writer(entry, SCHEMA_DEPTH, Topic(name="l2-data")), count=0),
            former=None,
            count=0,
            located=True,
            interrupted="",
            own=None,
            fresh=True,
        )
        contract.go_on("")
        return contract

    def _writer(self, entry: Entry, schema: str, topic: Topic) -> PartitionWriter:
        counters: Any = self._queue.counters
        return PartitionWriter(
            worker="renormalise-0",
            conid=entry.conid,
            symbol=entry.symbol,
            slot=entry.slot,
            epoch=entry.epoch,
            schema=schema,
            topic=topic,
            deliveries=counters.ticks if schema == SCHEMA_TICK else counters.books,
        )
