"""The events that a reader returns.

Times that end in ``_ms`` and ``event_time`` are milliseconds since 1970 (UTC); ``received_ns`` is in nanoseconds.
Sizes, volume and open interest are in contracts. Prices are in the contract's currency: see ``Contract``.

``source`` says which system an event comes from. Venues other than Interactive Brokers have no conid: ``instrument_id``
makes a number of their symbols. A spot pair counts as a contract of one unit of its base currency.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import msgspec

IB: Final = "interactive_brokers"

# A tick with one of these flags is no live data.
_NOT_LIVE: Final = frozenset({"delayed", "frozen", "not_subscribed", "unverified"})


def moment(ms: int) -> dt.datetime:
    """Return milliseconds since 1970 as a datetime in UTC."""
    return dt.datetime.fromtimestamp(ms // 1000, dt.UTC).replace(microsecond=ms % 1000 * 1000)


def instrument_id(source: str, symbol: str) -> int:
    """Return the number of an instrument whose source has none: 63 bits of a hash, the same for ever."""
    return int.from_bytes(hashlib.blake2b(f"{source}:{symbol}".encode(), digest_size=8).digest(), "big") >> 1


class Contract(msgspec.Struct, frozen=True):
    """The reference data of one contract. None: not known."""

    conid: int  # IB's contract id
    symbol: str  # such as CLZ6; unique in a feed
    root: str  # IB's symbol of the root, such as CL
    exchange: str | None  # IB's name of it
    trading_class: str | None  # the exchange's own name of the product
    multiplier: Decimal | None  # units of the underlying in one contract, or money for one point of an index
    currency: str | None  # in which prices are
    min_price_increment: Decimal | None  # the smallest step of a price
    contract_month: str | None  # YYYYMM
    first_notice_day: dt.date | None
    last_trading_day: dt.date | None
    trading_hours: tuple[tuple[int, int], ...] | None  # opening and closing in ms, in order
    feed: str  # the feed that wrote this last
    market_data_type: str | None  # IB's field 6509 as it came, such as RpB
    timeliness: str | None  # the same in words; only real_time is live
    at_ms: int  # when it was written, by the worker's clock


class _ExactTick(msgspec.Struct, frozen=True, gc=False):
    price: Decimal
    size: Decimal
    open_interest: Decimal | None
    bid: Decimal | None
    bid_size: Decimal | None
    ask: Decimal | None
    ask_size: Decimal | None
    volume: Decimal | None


_exact: Final = msgspec.json.Decoder(_ExactTick).decode


class Tick(msgspec.Struct, frozen=True, gc=False):
    """A contract after an update of its price, size or quote.

    Numbers are binary floats, because a decimal for each of the eight takes longer than all else that is done with a
    tick: a reader could not keep up with 200,000 ticks a second. IB's digits are not lost: ``exact`` returns them.

    ``contract`` is what topic ``contracts`` said of it by then; None if it had said nothing.
    """

    symbol: str
    conid: int
    price: float  # last trade; the previous close if flags hold previous_close; it may be negative
    size: float  # of the last trade
    open_interest: float | None
    event_time: int  # IB's time of the update, which sums up 500 ms
    market_data_type: str  # IB's field 6509 as it came, such as RpB
    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None
    volume: float | None  # of the session
    received_ns: int  # when the worker received it
    seq: int  # grows strictly within a contract, over all workers
    flags: tuple[str, ...]  # what changed, and what to know: snapshot, previous_close, halted, delayed, ...
    # The next two are no part of the record. No record has such keys.
    contract: Contract | None = msgspec.field(default=None, name="(contract)")
    record: bytes = msgspec.field(default=b"", name="(record)")  # the record as it came, for ``exact``

    @property
    def live(self) -> bool:
        """Whether this is live data: not delayed, frozen, unsubscribed or unverified."""
        return _NOT_LIVE.isdisjoint(self.flags)

    @property
    def time(self) -> dt.datetime:
        """``event_time`` as a datetime in UTC."""
        return moment(self.event_time)

    def exact(self, name: str) -> Decimal | None:
        """Return a number with IB's own digits, such as ``Decimal("71.90")``; None if IB has not said.

        Args:
            name: price, size, open_interest, bid, bid_size, ask, ask_size or volume.

        Raises:
            AttributeError: there is no such number.
            ValueError: this tick was not read from a record.
        """
        if not self.record:
            raise ValueError("this tick was not read from a record, so it has no other digits than its floats")
        number: Decimal | None = getattr(_exact(self.record), name)
        return number

    def __repr__(self) -> str:
        """Leave out the record."""
        fields = [name for name in self.__struct_fields__ if name not in ("contract", "record")]
        return f"Tick({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"


class Level(NamedTuple):
    """A price of an order book and the contracts that are offered or wanted at it."""

    price: float
    size: float


class ExactLevel(NamedTuple):
    """The same with IB's own digits."""

    price: Decimal
    size: Decimal


class Book(msgspec.Struct, frozen=True):
    """A contract's whole order book after a change, best price first.

    If ``known`` is false, nothing is known of the book until the next one: it was cleared, or a change of it was lost.
    """

    symbol: str
    conid: int
    event_time: int
    seq: int  # grows strictly within a contract, over all workers; it counts apart from that of ticks
    known: bool
    reason: str  # snapshot, delta, clear, or lost: a change before this one is missing
    bids: tuple[Level, ...]  # highest first
    asks: tuple[Level, ...]  # lowest first
    exact_bids: tuple[ExactLevel, ...]
    exact_asks: tuple[ExactLevel, ...]
    flags: tuple[str, ...]  # crossed: not to be traded on; incomplete: levels may be missing; stale
    contract: Contract | None = None
    source: str = IB

    @property
    def time(self) -> dt.datetime:
        """``event_time`` as a datetime in UTC."""
        return moment(self.event_time)


class BookChange(msgspec.Struct, frozen=True, gc=False):
    """A snapshot of an order book, or the levels that changed. ``OrderBooks.update`` makes a ``Book`` of it.

    The reader of a feed does that itself. A connector publishes changes, and a snapshot at least once a minute.
    """

    symbol: str
    conid: int
    event_time: int
    kind: Literal["snapshot", "delta", "clear"]  # clear: nothing is known of the book any more
    bids: tuple[tuple[Decimal, Decimal], ...]  # price and size; in a delta a size of 0 removes the level
    asks: tuple[tuple[Decimal, Decimal], ...]
    seq: int  # of each change one more than of the one before; it jumps where a process starts
    flags: tuple[str, ...]
    source: str = IB

    @property
    def time(self) -> dt.datetime:
        """``event_time`` as a datetime in UTC."""
        return moment(self.event_time)


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade, as venues tell it that publish each of them. Interactive Brokers does not: see ``Tick``."""

    symbol: str
    conid: int
    price: Decimal
    size: Decimal
    side: Literal["buy", "sell"] | None  # of the order that took liquidity; None: not told
    event_time: int
    received_ns: int
    seq: int  # the venue's number of the trade, which grows by one
    flags: tuple[str, ...]  # snapshot: it was made before the subscription
    source: str

    @property
    def time(self) -> dt.datetime:
        """``event_time`` as a datetime in UTC."""
        return moment(self.event_time)


class Bar(msgspec.Struct, frozen=True, gc=False):
    """Open, high, low, close and volume of one span of time. The latest bar of a start counts."""

    symbol: str
    conid: int
    start_time: int  # ms since 1970; the bar holds trades from then to before its end
    duration: int  # seconds
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None
    trade_count: int | None
    final: bool  # whether its time is over; else its values may change
    received_ns: int
    source: str

    @property
    def time(self) -> dt.datetime:
        """``start_time`` as a datetime in UTC."""
        return moment(self.start_time)


class Gap(msgspec.Struct, frozen=True):
    """Records that are missing, and will not come.

    ``conid`` and ``symbol`` are None if records of any contract may be missing: see ``reason``.
    """

    conid: int | None
    symbol: str | None
    from_ms: int | None  # event time of the last record before it; None: not known
    to_ms: int | None  # event time of the first record after it; None: not known
    reason: str  # for a person to read
    at_ms: int  # when it was noticed, by the clock of the worker, or of the reader if ``worker`` is empty
    feed: str = ""
    worker: str = ""

    @property
    def start(self) -> dt.datetime | None:
        """``from_ms`` as a datetime in UTC."""
        return None if self.from_ms is None else moment(self.from_ms)

    @property
    def end(self) -> dt.datetime | None:
        """``to_ms`` as a datetime in UTC."""
        return None if self.to_ms is None else moment(self.to_ms)


class Status(msgspec.Struct, frozen=True):
    """Something that happened to the feed. It tells a quiet market from a dead feed.

    ``kind`` is one of

    - ``assigned``, ``released``: a worker starts or ends publishing a contract;
    - ``session``: a worker's session with IB changed;
    - ``market_data_type``: a contract's data became live, delayed or frozen;
    - ``alive``: a worker that has nothing else to publish shows that it can, once a minute;
    - ``connected``, ``disconnected``, ``given_up``: a connector's websocket was made, was lost, or is not tried again;
    - ``venue``: the state of a connector's venue, such as maintenance;
    - ``refused``: a venue refuses a subscription.
    """

    kind: str
    feed: str
    worker: str
    at_ms: int  # the worker's clock
    conid: int | None  # of assigned, released and market_data_type
    symbol: str | None
    epoch: int | None  # of the assignment
    detail: str  # for a person to read

    @property
    def time(self) -> dt.datetime:
        """``at_ms`` as a datetime in UTC."""
        return moment(self.at_ms)


Event = Tick | Book | BookChange | Trade | Bar | Gap | Status | Contract

# Sets a field that is no part of the record. The tick has not left the reader yet.
attach: Final[Any] = msgspec.structs.force_setattr
