"""From records to events: decoding, order, books and filters. It does no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass
from operator import length_hint
from typing import Any, Final

import msgspec

from ibfeed.avro import is_avro
from ibfeed.books import BookBuilder
from ibfeed.errors import KafkaRefusedError, RecordError, RegistryError
from ibfeed.events import Book, Contract, Event, Gap, Status, attach
from ibfeed.order import Position, RecentEvents, Verdict
from ibfeed.records import (
    UNDECODABLE,
    Message,
    Origin,
    check_schema,
    decode_change,
    decode_contract,
    decode_event,
    decode_tick,
    origin_of,
    place_of,
)

_CLASS: Final = re.compile(r"(?P<trading_class>.+?)[FGHJKMNQUVXZ][0-9]{1,2}(?:-[0-9]{2})?(?:[.].+)?")


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of a feed's topics, as ``spec.kafka.topics`` of the IbFeed gives them. None: it is not read."""

    ticks: str | None = "ticklast"
    books: str | None = "l2-data"
    events: str | None = "feed-events"
    contracts: str | None = "contracts"

    @property
    def streams(self) -> list[str]:
        """The topics that are read from a start: all but ``contracts``, which is a table."""
        return [name for name in (self.ticks, self.books, self.events) if name is not None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The contracts that the caller asked for. Empty: all."""

    feed: str | None = None
    symbols: Collection[str] = ()
    roots: Collection[str] = ()

    def feeds(self, feed: str) -> bool:
        """Return whether this feed was asked for."""
        return self.feed is None or feed == self.feed

    def instrument(self, symbol: str, contract: Contract | None) -> bool:
        """Return whether a contract was asked for.

        A worker writes a new contract to ``contracts`` up to a minute after its first tick. Until then the trading
        class, which the symbol begins with, stands for the root.
        """
        if self.symbols and symbol not in self.symbols:
            return False
        if not self.roots:
            return True
        if contract is not None:
            return contract.root in self.roots
        found = _CLASS.fullmatch(symbol)
        return found is not None and found["trading_class"] in self.roots


class Counters(msgspec.Struct):
    """The records that were read, and the records among them that led to no event."""

    records: int = 0
    duplicates: int = 0  # read before
    stale: int = 0  # of an assignment that another one has followed
    unwanted: int = 0  # of another feed, or of a contract that was not asked for
    held_back: int = 0  # changes of an order book that is not known
    unreadable: int = 0  # they cannot be decoded, or have a schema version that is not known
    unreadable_cause: str = ""  # of the last one of them
    ignored: int = 0  # events of a kind that this release does not know
    holes: int = 0  # places where records of a contract are missing; the feed tells them as gaps


class EventStream:
    """The events of one reader. ``handled`` is the number of records of the last batch that are done with.

    Args:
        topics: their names.
        wanted: what the caller asked for.
        skip_unreadable: count a record that cannot be read, and go on; else raise RecordError.
    """

    def __init__(self, topics: Topics, wanted: Wanted, *, skip_unreadable: bool) -> None:
        self.counters: Final = Counters()
        self.contracts: Final[dict[int, Contract]] = {}
        self.handled = 0
        self._topics: Final = topics
        self._wanted: Final = wanted
        self._skip: Final = skip_unreadable
        self._ticks: Final[dict[int, Position]] = {}
        self._changes: Final[dict[int, Position]] = {}
        self._epochs: Final[dict[int, int]] = {}  # of the feed's events, which have no seq
        self._books: Final[dict[int, BookBuilder]] = {}
        self._recent: Final = RecentEvents()
        self._others: Final[dict[str | None, Callable[[Message], Event | None]]] = {
            topics.books: self._book,
            topics.events: self._feed_event,
            topics.contracts: self._contract,
        }

    def events(self, batch: Sequence[Message]) -> Generator[Event]:
        """Yield the events of a batch. Raises RecordError and KafkaRefusedError."""
        # This loop is the reader's speed. Names are local, and a tick that follows the one before needs no headers.
        ticks_topic, positions, counters = self._topics.ticks, self._ticks, self.counters
        counters.records += len(batch)
        left = iter(batch)
        under_way = 1
        try:
            for message in left:
                if message.topic() != ticks_topic:
                    event = self._other(message)
                    if event is not None:
                        yield event
                    continue
                value = message.value()
                try:
                    tick = decode_tick(value)
                except UNDECODABLE as error:
                    self._unreadable(message, "ticks", error)
                    continue
                position, seq = positions.get(tick.conid), tick.seq
                if position is not None and seq == position.seq + 1:
                    position.seq = seq
                elif (position := self._admit(positions, tick, message, "ticks")) is None:
                    continue
                if position.wanted:
                    attach(tick, "record", value)
                    attach(tick, "contract", position.contract)
                    yield tick
                else:
                    counters.unwanted += 1
            under_way = 0
        finally:
            self.handled = len(batch) - length_hint(left) - under_way

    def load_contracts(self, batch: Sequence[Message]) -> None:
        """Take in the table of contracts, whose latest record of each contract counts. Raises RecordError."""
        for message in batch:
            self._read_contract(message)

    def known_contracts(self) -> list[Contract]:
        """Return the contracts that the caller asked for, as far as they are known."""
        return [contract for contract in self.contracts.values() if self._asked_for(contract)]

    # Order.

    def _admit(self, positions: dict[int, Position], record: Any, message: Message, kind: str) -> Position | None:
        """Return the contract's position, moved to this record; None if the record is to be dropped."""
        position = positions.get(record.conid)
        origin = self._origin(message, kind)
        if origin is None or origin.epoch is None:
            return None
        if position is None:
            position = positions[record.conid] = Position(contract=self.contracts.get(record.conid))
        opens = origin.epoch > position.epoch
        verdict = position.advance(origin.epoch, record.seq)
        if verdict is Verdict.STALE:
            self.counters.stale += 1
            return None
        if verdict is Verdict.DUPLICATE:
            self.counters.duplicates += 1
            return None
        self.counters.holes += verdict is Verdict.AFTER_HOLE
        if opens:
            position.of_feed = self._wanted.feeds(origin.feed)
            position.wanted = position.of_feed and self._wanted.instrument(record.symbol, position.contract)
        return position

    def _origin(self, message: Message, kind: str) -> Origin | None:
        """Return what the headers say; None if the record cannot be read, and is skipped. Raises RecordError."""
        try:
            origin = origin_of(message)
            check_schema(origin.schema, kind, message)
            if origin.epoch is None and kind in ("ticks", "books"):
                raise RecordError(f"{place_of(message)} has no header 'epoch': is the topic ibfeed's own?")
        except RecordError as error:
            self._refuse(error)
            return None
        return origin

    # The other topics.

    def _other(self, message: Message) -> Event | None:
        if message.error() is not None:
            self._raise_of_kafka(message)
        return self._others[message.topic()](message)

    def _book(self, message: Message) -> Book | None:
        try:
            change = decode_change(message.value())
        except UNDECODABLE as error:
            self._unreadable(message, "books", error)
            return None
        before = self._changes.get(change.conid)
        contiguous = before is not None and change.seq == before.seq + 1
        position = self._admit(self._changes, change, message, "books")
        if position is None:
            return None
        if not position.wanted:
            self.counters.unwanted += 1
            return None
        builder = self._books.setdefault(change.conid, BookBuilder())
        book = builder.apply(change, contiguous=contiguous, contract=position.contract)
        self.counters.held_back += book is None
        return book

    def _feed_event(self, message: Message) -> Gap | Status | None:
        value = message.value()
        try:
            event = decode_event(value)
        except UNDECODABLE as error:
            self._unreadable(message, "events", error)
            return None
        if self._origin(message, "events") is None:
            return None
        if not self._recent.is_new(value):
            self.counters.duplicates += 1
            return None
        if event.conid is not None and event.epoch is not None and event.kind != "gap":
            # A gap is told in any case: what is missing is missing, whichever worker noticed, and however late.
            if event.epoch < self._epochs.get(event.conid, -1):
                self.counters.stale += 1
                return None
            self._epochs[event.conid] = event.epoch
        if not self._wanted.feeds(event.feed) or not self._covers(event.conid, event.symbol):
            self.counters.unwanted += 1
            return None
        public = event.public()
        self.counters.ignored += public is None
        return public

    def _contract(self, message: Message) -> Contract | None:
        contract = self._read_contract(message)
        if contract is None or self._asked_for(contract):
            return contract
        self.counters.unwanted += 1
        return None

    def _read_contract(self, message: Message) -> Contract | None:
        """Take in a record of ``contracts``; None if it takes the contract away, or cannot be read."""
        value = message.value()
        try:
            if value is None:
                conid = int(message.key())
                self.contracts.pop(conid, None)
                for position in self._positions_of(conid):
                    position.contract = None
                return None
            contract = decode_contract(value)
        except UNDECODABLE as error:
            self._unreadable(message, "contracts", error)
            return None
        if self._origin(message, "contracts") is None:
            return None
        self.contracts[contract.conid] = contract
        for position in self._positions_of(contract.conid):  # until now the symbol stood for the root
            position.contract = contract
            position.wanted = position.of_feed and self._wanted.instrument(contract.symbol, contract)
        return contract

    def _positions_of(self, conid: int) -> list[Position]:
        return [positions[conid] for positions in (self._ticks, self._changes) if conid in positions]

    def _covers(self, conid: int | None, symbol: str | None) -> bool:
        """Return whether an event is of a contract that was asked for, or of none."""
        return conid is None or self._wanted.instrument(symbol or "", self.contracts.get(conid))

    def _asked_for(self, contract: Contract) -> bool:
        return self._wanted.feeds(contract.feed) and self._wanted.instrument(contract.symbol, contract)

    # Records that cannot be read.

    def _unreadable(self, message: Message, kind: str, error: Exception) -> None:
        """Say why a record cannot be decoded: Kafka's error in its place, an unknown schema, or its text."""
        if message.error() is not None:
            self._raise_of_kafka(message)
        try:
            origin = origin_of(message)
            if not self._wanted.feeds(origin.feed):
                self.counters.unwanted += 1
                return
            check_schema(origin.schema, kind, message)
        except RecordError as found:
            self._refuse(found)
            return
        if is_avro(message.value()):
            error = RegistryError(
                "it is Avro: name the feed's registry, as schema_registry=ibfeed.SchemaRegistry(URL); if it is named,"
                " the record is damaged"
            )
        self._refuse(RecordError(f"{place_of(message)} is not as schema {origin.schema} says: {error}"))

    def _refuse(self, error: RecordError) -> None:
        self.counters.unreadable += 1
        self.counters.unreadable_cause = str(error)
        if not self._skip:
            raise error

    def _raise_of_kafka(self, message: Message) -> None:
        raise KafkaRefusedError(f"Kafka gives no records of {message.topic()}: {message.error()}")
