"""Kraken's public market data, by its websocket version 2: order books, trades and bars.

Frames, fields and the checksum are those of https://docs.kraken.com/api/docs/websocket-v2/.

- Kraken numbers the trades of a pair, so missing ones are known, and told as a ``Gap``. After a lost connection it
  sends the last 50 again, and those that are new are passed on.
- Its books have no numbers. Each of its messages has a checksum of the ten best levels. If ours differs, the book is
  cleared and asked for again, and the gap is told.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec.structs import astuple

from ibfeed.connectors.kept_book import KeptBook
from ibfeed.connectors.normaliser import Normaliser, Send
from ibfeed.errors import FrameError
from ibfeed.events import Bar, Event, Gap, Status, Trade, instrument_id

URL: Final = "wss://ws.kraken.com/v2"
CHANNELS: Final = ("book", "trade", "ohlc")
_CHECKED: Final = 10  # levels of each side, whatever the depth
_EPOCH: Final = dt.datetime.fromtimestamp(0, dt.UTC)
_MS: Final = dt.timedelta(milliseconds=1)

Data = TypeVar("Data")


class _Frame(msgspec.Struct):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    method: str = ""
    success: bool = True
    error: str | None = None
    symbol: str | None = None


class _Level(msgspec.Struct):
    price: Decimal
    qty: Decimal


class _BookData(msgspec.Struct):
    symbol: str
    bids: list[_Level]
    asks: list[_Level]
    checksum: int
    timestamp: dt.datetime | None = None  # snapshots may lack it


class _TradeData(msgspec.Struct):
    symbol: str
    side: Literal["buy", "sell"]
    price: Decimal
    qty: Decimal
    trade_id: int
    timestamp: dt.datetime


class _BarData(msgspec.Struct):
    symbol: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    interval_begin: dt.datetime
    interval: int  # minutes


class _StatusData(msgspec.Struct):
    system: str


class Kraken(Normaliser):
    """Kraken's public market data.

    Args:
        symbols: such as ``BTC/USD``.
        channels: of ``book``, ``trade`` and ``ohlc``, which makes bars.
        depth: levels of each side: 10, 25, 100, 500 or 1000.
        bar_minutes: length of bars: 1, 5, 15, 30, 60, 240, 1440, 10080 or 21600.
        url: of the websocket.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        channels: Collection[str] = CHANNELS,
        depth: int = 10,
        bar_minutes: int = 1,
        url: str = URL,
    ) -> None:
        super().__init__("kraken", url)
        if unknown := sorted(set(channels) - set(CHANNELS)):
            raise ValueError(f"Kraken's channels here are {', '.join(CHANNELS)}, and not {', '.join(unknown)}")
        self._symbols: Final = list(symbols)
        self._depth: Final = depth
        self._more: Final[Mapping[str, Mapping[str, Any]]] = {
            "book": {"depth": depth},
            "trade": {"snapshot": True},
            "ohlc": {"interval": bar_minutes},
        }
        self._channels: Final = [channel for channel in CHANNELS if channel in channels]
        self._books: Final[dict[str, KeptBook]] = {}
        self._trades: Final[dict[str, Trade]] = {}  # the last one
        self._bars: Final[dict[str, Bar]] = {}  # the last one

    def subscriptions(self) -> Sequence[bytes]:
        """Return one frame for each channel."""
        return [self._request("subscribe", channel, self._symbols) for channel in self._channels]

    def normalise(self, frame: bytes, received_ns: int) -> Sequence[Event | Send]:
        """Return the events of a frame. Raises FrameError."""
        found = _decoded(frame, _Frame)
        match found.channel:
            case "book":
                books = _decoded(found.data, list[_BookData])
                return [output for data in books for output in self._book(data, found.type, received_ns)]
            case "trade":
                trades = _decoded(found.data, list[_TradeData])
                return [event for data in trades for event in self._trade(data, found.type, received_ns)]
            case "ohlc":
                return list(self._ohlc(_decoded(found.data, list[_BarData]), found.type, received_ns))
            case "status":
                states = _decoded(found.data, list[_StatusData])
                return [self._status("venue", f"Kraken is {data.system}", received_ns) for data in states]
        if not found.success:
            detail = f"Kraken refuses to {found.method} {found.symbol or ''}: {found.error}; correct the symbols"
            return [self._status("refused", detail, received_ns, found.symbol)]
        return []  # a heartbeat, or an answer that says yes

    def disconnected(self, at_ms: int) -> Sequence[Event]:
        """Return that no book is known any more."""
        return [book.clear(at_ms, "the connection was lost") for book in self._books.values() if book.known]

    def _book(self, data: _BookData, kind: str, received_ns: int) -> Iterator[Event | Send]:
        book = self._books.get(data.symbol)
        if book is None:
            seq = received_ns // 1_000_000_000 << 20
            book = self._books[data.symbol] = KeptBook(data.symbol, self.name, self._depth, seq)
        at_ms = received_ns // 1_000_000 if data.timestamp is None else _ms(data.timestamp)
        if kind == "snapshot":
            if book.lost_because:
                yield self._gap(data.symbol, book.event_time, at_ms, book.lost_because, received_ns)
            book.begin_snapshot()
        elif not book.known:
            return  # it is asked for again already
        book.merge(map(astuple, data.bids), map(astuple, data.asks))
        if checksum(book) == data.checksum:
            yield book.confirm(at_ms)
            return
        yield book.clear(at_ms, "the checksum of Kraken's book differs from ours")
        yield Send(self._request("unsubscribe", "book", [data.symbol]))
        yield Send(self._request("subscribe", "book", [data.symbol]))

    def _trade(self, data: _TradeData, kind: str, received_ns: int) -> Iterator[Event]:
        last, at_ms = self._trades.get(data.symbol), _ms(data.timestamp)
        if last is not None and data.trade_id <= last.seq:
            return  # it came before the connection was lost
        if last is not None and data.trade_id > last.seq + 1:
            reason = f"Kraken's trades {last.seq + 1} to {data.trade_id - 1} are missing"
            yield self._gap(data.symbol, last.event_time, at_ms, reason, received_ns)
        trade = Trade(
            symbol=data.symbol,
            conid=self._id(data.symbol),
            price=data.price,
            size=data.qty,
            side=data.side,
            event_time=at_ms,
            received_ns=received_ns,
            seq=data.trade_id,
            flags=("snapshot",) if kind == "snapshot" else (),
            source=self.name,
        )
        self._trades[data.symbol] = trade
        yield trade

    def _ohlc(self, bars: Sequence[_BarData], kind: str, received_ns: int) -> Iterator[Event]:
        """Yield bars. Kraken does not say that a bar is over; the next one says it."""
        newest = {data.symbol: data.interval_begin for data in bars}
        for data in bars:
            last, start = self._bars.get(data.symbol), _ms(data.interval_begin)
            if kind == "update" and last is not None and last.start_time < start:
                yield msgspec.structs.replace(last, final=True)
            bar = Bar(
                symbol=data.symbol,
                conid=self._id(data.symbol),
                start_time=start,
                duration=60 * data.interval,
                open=data.open,
                high=data.high,
                low=data.low,
                close=data.close,
                volume=data.volume,
                trade_count=data.trades,
                final=data.interval_begin < newest[data.symbol],
                received_ns=received_ns,
                source=self.name,
            )
            self._bars[data.symbol] = bar
            yield bar

    def _gap(self, symbol: str, from_ms: int, to_ms: int, reason: str, received_ns: int) -> Gap:
        return Gap(self._id(symbol), symbol, from_ms, to_ms, reason, received_ns // 1_000_000, self.name)

    def _status(self, kind: str, detail: str, received_ns: int, symbol: str | None = None) -> Status:
        conid = None if symbol is None else self._id(symbol)
        return Status(kind, self.name, "", received_ns // 1_000_000, conid, symbol, None, detail)

    def _request(self, method: str, channel: str, symbols: Sequence[str]) -> bytes:
        params = {"channel": channel, "symbol": symbols, **self._more[channel]}
        return msgspec.json.encode({"method": method, "params": params})

    def _id(self, symbol: str) -> int:
        return instrument_id(self.name, symbol)


def _decoded(value: bytes | msgspec.Raw, kind: type[Data]) -> Data:
    try:
        return msgspec.json.decode(value, type=kind)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"Kraken sent a frame that it does not document ({error}): is there a newer ibfeed?") from None


def checksum(book: KeptBook) -> int:
    """Return the checksum of the ten best levels, asks first, as Kraken defines it."""
    bids, asks = book.best(_CHECKED)
    digits = (f"{number:f}".replace(".", "").lstrip("0") for level in (*asks, *bids) for number in level)
    return zlib.crc32("".join(digits).encode())


def _ms(time: dt.datetime) -> int:
    return (time - _EPOCH) // _MS
