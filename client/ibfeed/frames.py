"""Events as tables: one call for pandas, polars and arrow.

Each takes the events of one kind, ``kind``, out of the given ones, and makes a column of each field. An order book
becomes one row for each level: ``side`` is ``bid`` or ``ask``, ``level`` counts from 0, the best. A book of which
nothing is known becomes one row without side. So does a change without levels; its levels are not counted.

============  =====================  ======================  ===================
column        arrow                  polars                  pandas
============  =====================  ======================  ===================
times         timestamp[ms, UTC]     Datetime(ms, UTC)       datetime64[ms, UTC]
received      timestamp[ns, UTC]     Datetime(ns, UTC)       datetime64[ns, UTC]
numbers       float64                Float64                 float64
conid, seq    int64                  Int64                   Int64
text          string                 String                  str
flags         list<string>           List(String)            object (tuples)
known, final  bool                   Boolean                 boolean
days          date32                 Date                    object (dates)
============  =====================  ======================  ===================

``received`` is ``received_ns``, and a field that ends in ``_ms`` loses that end. A value that is not known is null; in
a pandas column of floats it is NaN. Trading hours have no column.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from ibfeed.errors import MissingExtraError
from ibfeed.events import Bar, Book, BookChange, Contract, Event, Gap, Status, Tick, Trade

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Row = tuple[Any, ...]

# The types of columns, by names of our own. Each library has a table of what it calls them.
_MS, _NS, _FLOAT, _INT, _TEXT, _TEXTS, _BOOL, _DAY = "ms", "ns", "float", "int", "text", "texts", "bool", "day"

_TICK: Final = {
    "event_time": _MS,
    "received": _NS,
    "conid": _INT,
    "symbol": _TEXT,
    "price": _FLOAT,
    "size": _FLOAT,
    "bid": _FLOAT,
    "bid_size": _FLOAT,
    "ask": _FLOAT,
    "ask_size": _FLOAT,
    "volume": _FLOAT,
    "open_interest": _FLOAT,
    "market_data_type": _TEXT,
    "flags": _TEXTS,
    "seq": _INT,
}
_BOOK: Final = {
    "event_time": _MS,
    "conid": _INT,
    "symbol": _TEXT,
    "seq": _INT,
    "known": _BOOL,
    "reason": _TEXT,
    "side": _TEXT,
    "level": _INT,
    "price": _FLOAT,
    "size": _FLOAT,
    "flags": _TEXTS,
}
_CHANGE: Final = {
    "event_time": _MS,
    "source": _TEXT,
    "conid": _INT,
    "symbol": _TEXT,
    "seq": _INT,
    "kind": _TEXT,
    "side": _TEXT,
    "price": _FLOAT,
    "size": _FLOAT,
    "flags": _TEXTS,
}
_TRADE: Final = {
    "event_time": _MS,
    "received": _NS,
    "source": _TEXT,
    "conid": _INT,
    "symbol": _TEXT,
    "price": _FLOAT,
    "size": _FLOAT,
    "side": _TEXT,
    "flags": _TEXTS,
    "seq": _INT,
}
_BAR: Final = {
    "start_time": _MS,
    "received": _NS,
    "source": _TEXT,
    "conid": _INT,
    "symbol": _TEXT,
    "duration": _INT,
    "open": _FLOAT,
    "high": _FLOAT,
    "low": _FLOAT,
    "close": _FLOAT,
    "volume": _FLOAT,
    "trade_count": _INT,
    "final": _BOOL,
}
_GAP: Final = {
    "at": _MS,
    "conid": _INT,
    "symbol": _TEXT,
    "from": _MS,
    "to": _MS,
    "reason": _TEXT,
    "feed": _TEXT,
    "worker": _TEXT,
}
_STATUS: Final = {
    "at": _MS,
    "kind": _TEXT,
    "feed": _TEXT,
    "worker": _TEXT,
    "conid": _INT,
    "symbol": _TEXT,
    "epoch": _INT,
    "detail": _TEXT,
}
_CONTRACT: Final = {
    "at": _MS,
    "conid": _INT,
    "symbol": _TEXT,
    "root": _TEXT,
    "exchange": _TEXT,
    "trading_class": _TEXT,
    "multiplier": _FLOAT,
    "currency": _TEXT,
    "min_price_increment": _FLOAT,
    "contract_month": _TEXT,
    "first_notice_day": _DAY,
    "last_trading_day": _DAY,
    "feed": _TEXT,
    "market_data_type": _TEXT,
    "timeliness": _TEXT,
}
_FIELDS: Final = {"received": "received_ns", "at": "at_ms", "from": "from_ms", "to": "to_ms"}


def to_arrow(events: Iterable[Event], kind: type[Event] = Tick) -> pa.Table:  # type: ignore[name-defined, unused-ignore]
    """Return the events of one kind as an arrow table. Raises MissingExtraError."""
    arrow = _library("pyarrow", "arrow")
    types = {
        _MS: arrow.timestamp("ms", "UTC"),
        _NS: arrow.timestamp("ns", "UTC"),
        _FLOAT: arrow.float64(),
        _INT: arrow.int64(),
        _TEXT: arrow.string(),
        _TEXTS: arrow.list_(arrow.string()),
        _BOOL: arrow.bool_(),
        _DAY: arrow.date32(),
    }
    schema, columns = _table(events, kind)
    return arrow.table({name: arrow.array(columns[name], types[of]) for name, of in schema.items()})


def to_polars(events: Iterable[Event], kind: type[Event] = Tick) -> pl.DataFrame:
    """Return the events of one kind as a polars frame. Raises MissingExtraError."""
    library = _library("polars", "polars")
    types = {
        _MS: library.Datetime("ms", "UTC"),
        _NS: library.Datetime("ns", "UTC"),
        _FLOAT: library.Float64,
        _INT: library.Int64,
        _TEXT: library.String,
        _TEXTS: library.List(library.String),
        _BOOL: library.Boolean,
        _DAY: library.Date,
    }
    schema, columns = _table(events, kind)
    frame: pl.DataFrame = library.DataFrame(
        [library.Series(name, columns[name], types[of]) for name, of in schema.items()]
    )
    return frame


def to_pandas(events: Iterable[Event], kind: type[Event] = Tick) -> pd.DataFrame:
    """Return the events of one kind as a pandas frame. Raises MissingExtraError."""
    library = _library("pandas", "pandas")

    def plain(dtype: str) -> Callable[[list[Any]], Any]:
        return lambda values: library.Series(values, dtype=dtype)

    def times(unit: str) -> Callable[[list[Any]], Any]:
        # By way of integers, since floats, which hold a missing value otherwise, lose nanoseconds.
        def column(values: list[Any]) -> Any:
            numbers = library.Series([_NO_TIME if value is None else value for value in values], dtype="int64")
            return numbers.astype(f"datetime64[{unit}]").dt.tz_localize("UTC")

        return column

    types = {
        _MS: times("ms"),
        _NS: times("ns"),
        _FLOAT: plain("float64"),
        _INT: plain("Int64"),
        _TEXT: plain("str"),
        _TEXTS: plain("object"),
        _BOOL: plain("boolean"),
        _DAY: plain("object"),
    }
    schema, columns = _table(events, kind)
    frame: pd.DataFrame = library.DataFrame({name: types[of](columns[name]) for name, of in schema.items()})
    return frame


_NO_TIME: Final = -(2**63)  # the integer of pandas' NaT


def _library(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(f"{module} is not installed: pip install 'ibfeed[{extra}]'") from None


def _table(events: Iterable[Event], kind: type[Event]) -> tuple[Mapping[str, str], Mapping[str, list[Any]]]:
    """Return the types and the values of the columns."""
    schema, rows_of = _KINDS[kind]
    # An event becomes a row at once, so that a long series does not have to be kept as events.
    rows = [row for event in events if type(event) is kind for row in rows_of(event)]
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    return schema, {name: list(values) for name, values in zip(schema, columns, strict=True)}


def _fields(schema: Mapping[str, str]) -> Callable[[Any], Iterable[Row]]:
    """Return a function that makes one row of an event."""
    get = attrgetter(*(_FIELDS.get(name, name) for name in schema))
    return lambda event: (get(event),)


def _exact_fields(schema: Mapping[str, str]) -> Callable[[Any], Iterable[Row]]:
    """Return a function that makes one row of an event whose numbers are decimals."""
    fields = [(_FIELDS.get(name, name), of is _FLOAT) for name, of in schema.items()]

    def row(event: Any) -> Iterable[Row]:
        values = [(getattr(event, name), decimal) for name, decimal in fields]
        return (tuple(float(value) if decimal and value is not None else value for value, decimal in values),)

    return row


def _book_rows(book: Book) -> Iterator[Row]:
    head = (book.event_time, book.conid, book.symbol, book.seq, book.known, book.reason)
    if not book.known:
        yield (*head, None, None, None, None, book.flags)
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        for number, level in enumerate(levels):
            yield (*head, side, number, level.price, level.size, book.flags)


def _change_rows(change: BookChange) -> Iterator[Row]:
    head = (change.event_time, change.source, change.conid, change.symbol, change.seq, change.kind)
    if not change.bids and not change.asks:
        yield (*head, None, None, None, change.flags)
    for side, levels in (("bid", change.bids), ("ask", change.asks)):
        for price, size in levels:
            yield (*head, side, float(price), float(size), change.flags)


_KINDS: Final[Mapping[Any, tuple[Mapping[str, str], Callable[[Any], Iterable[Row]]]]] = {
    Tick: (_TICK, _fields(_TICK)),
    Book: (_BOOK, _book_rows),
    BookChange: (_CHANGE, _change_rows),
    Gap: (_GAP, _fields(_GAP)),
    Status: (_STATUS, _fields(_STATUS)),
    Contract: (_CONTRACT, _exact_fields(_CONTRACT)),
    Trade: (_TRADE, _exact_fields(_TRADE)),
    Bar: (_BAR, _exact_fields(_BAR)),
}
