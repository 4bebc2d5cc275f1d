"""The committed category schemas, and records and rows of every kind that they may have."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from ibfeed_api.records import (
    TOPIC_CONTRACTS,
    TOPIC_DEPTH,
    TOPIC_EVENTS,
    TOPIC_TICKS,
    ContractRecord,
    DepthRecord,
    FeedEvent,
    Tick,
)
from ibfeed_platform.categories.files import read_categories
from ibfeed_platform.categories.rows import Row, to_rows
from ibfeed_platform.categories.source import MISSING, Category, Dtype, Field

ROOT: Final = Path(__file__).resolve().parents[2]
ALL: Final = read_categories(ROOT)
NEWEST: Final = {category.category: category for category in sorted(ALL, key=lambda one: one.version)}
BY_TOPIC: Final = {stream.topic: category for category in NEWEST.values() for stream in category.streams}
# Rows have up to 76 columns, so drawing them takes long on a machine that is busy with other tests.
UNHURRIED: Final = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Records come in batches of one write to Kafka, since each batch is waited for.
BATCHES: Final = settings(
    max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True
)
TOPICS: Final = (TOPIC_TICKS, TOPIC_DEPTH, TOPIC_EVENTS, TOPIC_CONTRACTS)

# Other characters than those of names come through as well.
TEXTS: Final = st.text(min_size=1, max_size=12)
TIMES: Final = st.integers(0, 2**63 - 1)
COUNTS: Final = st.integers(0, 2**53 - 1)
CONIDS: Final = st.integers(1, 2**31)
CHANGES: Final = ["price", "size", "bid", "bid_size", "ask", "ask_size", "volume", "open_interest", "market_data_type"]
MARKS: Final = ["snapshot", "previous_close", "halted", "delayed", "frozen", "not_subscribed", "unverified"]
BOOK_FLAGS: Final = ["crossed", "incomplete", "stale"]
FLAGS: Final = st.lists(st.sampled_from([*CHANGES, *MARKS, *BOOK_FLAGS, "added_later"]), unique=True)


TICK: Final = {
    "symbol": "CLZ6",
    "conid": 212921504,
    "price": Decimal("71.90"),
    "size": 3,
    "open_interest": None,
    "event_time": 1795244400123,
    "market_data_type": "RpB",
    "bid": Decimal("71.89"),
    "bid_size": 12,
    "ask": None,
    "ask_size": None,
    "volume": 87250,
    "received_ns": 1795244400171000000,
    "seq": 1882450191974401,
    "flags": ["price", "volume"],
}
BOOK: Final = {
    "symbol": "ESZ6",
    "conid": 495512563,
    "event_time": 1795244400500,
    "kind": "delta",
    "bids": [[Decimal("5190.25"), 41], [Decimal("5190.00"), 0]],
    "asks": [[Decimal("5190.50"), 38]],
    "seq": 1882450191974401,
    "flags": [],
}
CONTRACT: Final = {
    "conid": 212921504,
    "currency": "USD",
    "multiplier": 1000,
    "min_price_increment": Decimal("0.01"),
}


def tick_row(reference: dict[str, Any] | None = CONTRACT, **changes: Any) -> Row:
    """The row of TICK, with other values for some keys."""
    (row,) = to_rows(BY_TOPIC[TOPIC_TICKS], TOPIC_TICKS, TICK | changes, reference)
    return row


def book_rows(**changes: Any) -> list[Row]:
    """The rows of BOOK, with other values for some keys."""
    return to_rows(BY_TOPIC[TOPIC_DEPTH], TOPIC_DEPTH, BOOK | changes, None)


@st.composite
def digits(draw: st.DrawFn, *, signed: bool = True) -> msgspec.Raw:
    """A number as the worker writes it. At most 20 digits before the point; after it 18 and zeros without meaning."""
    whole = str(draw(st.integers(0, 10**20 - 1) | st.integers(0, 999)))
    fraction = draw(st.text("0123456789", max_size=18)) + "0" * draw(st.sampled_from([0, 0, 1, 6]))
    text = f"{whole}.{fraction}" if fraction else whole
    negative = signed and draw(st.booleans()) and Decimal(text) != 0
    return msgspec.Raw(f"{'-' if negative else ''}{text}".encode())


SIZES: Final = digits(signed=False)
TICKS: Final = st.builds(
    Tick,
    symbol=TEXTS,
    conid=CONIDS,
    price=digits(),
    size=SIZES,
    open_interest=st.none() | SIZES,
    event_time=TIMES,
    market_data_type=st.sampled_from(["RpB", "DpB", "Z", "Yp", "N", "O", "Qx"]),
    bid=st.none() | digits(),
    bid_size=st.none() | SIZES,
    ask=st.none() | digits(),
    ask_size=st.none() | SIZES,
    volume=st.none() | SIZES,
    received_ns=TIMES,
    seq=COUNTS,
    flags=FLAGS,
)
LEVELS: Final = st.lists(st.tuples(digits(), SIZES | st.just(msgspec.Raw(b"0"))), max_size=4)
BOOKS: Final = st.builds(
    DepthRecord,
    symbol=TEXTS,
    conid=CONIDS,
    event_time=TIMES,
    kind=st.sampled_from(["snapshot", "delta"]),
    bids=LEVELS,
    asks=LEVELS,
    seq=COUNTS,
    flags=FLAGS,
) | st.builds(
    DepthRecord,
    symbol=TEXTS,
    conid=CONIDS,
    event_time=TIMES,
    kind=st.just("clear"),
    bids=st.just([]),
    asks=st.just([]),
    seq=COUNTS,
    flags=FLAGS,
)
EVENTS: Final = st.builds(
    FeedEvent,
    kind=st.sampled_from(["assigned", "released", "gap", "session", "market_data_type", "alive"]),
    feed=TEXTS,
    worker=TEXTS,
    at_ms=TIMES,
    conid=st.none() | CONIDS,
    symbol=st.none() | TEXTS,
    epoch=st.none() | COUNTS,
    from_ms=st.none() | TIMES,
    to_ms=st.none() | TIMES,
    detail=st.text(max_size=12),
)
CONTRACTS: Final = st.builds(
    ContractRecord,
    conid=CONIDS,
    symbol=TEXTS,
    root=TEXTS,
    exchange=st.none() | TEXTS,
    trading_class=st.none() | TEXTS,
    multiplier=st.none() | SIZES,
    currency=st.none() | st.sampled_from(["USD", "EUR"]),
    min_price_increment=st.none() | SIZES,
    contract_month=st.none() | st.just("202612"),
    first_notice_day=st.none() | st.just("20261120"),
    last_trading_day=st.none() | st.just("20261120"),
    trading_hours=st.none() | st.lists(st.tuples(TIMES, TIMES), max_size=3),
    slot=COUNTS,
    feed=TEXTS,
    market_data_type=st.none() | st.just("RpB"),
    timeliness=st.none() | st.just("real_time"),
    market_data_marks=FLAGS,
    at_ms=TIMES,
)
RECORDS: Final[dict[str, st.SearchStrategy[msgspec.Struct]]] = {
    TOPIC_TICKS: TICKS,
    TOPIC_DEPTH: BOOKS,
    TOPIC_EVENTS: EVENTS,
    TOPIC_CONTRACTS: CONTRACTS,
}

_DECIMALS: Final = st.decimals(-(10**20) + 1, 10**20 - 1, places=18) | st.decimals(-999, 999, places=2)
_INT64: Final = st.integers(-(2**63), 2**63 - 1)
_SPANS: Final = st.lists(st.builds(lambda start, end: {"start": start, "end": end}, _INT64, _INT64), max_size=3)
_VALUES: Final[dict[Dtype, st.SearchStrategy[Any]]] = {
    Dtype.STRING: TEXTS,
    Dtype.INT64: _INT64,
    Dtype.DECIMAL: _DECIMALS,
    Dtype.STRINGS: st.lists(TEXTS, max_size=3),
    Dtype.SPANS: _SPANS,
}


@st.composite
def rows_of(draw: st.DrawFn, category: Category) -> dict[str, Any]:
    """A row of a category, from a stream that nobody has thought of yet."""
    row: dict[str, Any] = {}
    for field in category.fields:
        row |= _drawn(draw, field)
    return row


def _drawn(draw: st.DrawFn, field: Field) -> dict[str, Any]:
    words = draw(st.lists(st.sampled_from(field.states), min_size=1, unique=True))
    value = None if MISSING in words else draw(_VALUES[field.dtype])
    scale = f"({len(f'{value:f}'.partition('.')[2])})" if isinstance(value, Decimal) else ""
    return {
        field.name: value,
        f"{field.name}_dtype": f"{field.dtype}{scale}",
        f"{field.name}_unit": draw(st.sampled_from(["USD", "unknown"])) if "{" in field.unit else field.unit,
        f"{field.name}_state": "+".join(sorted(words, key=field.states.index)),
    }
