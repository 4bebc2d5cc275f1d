"""Tables have the documented columns and types, and lose nothing."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import ibfeed
from ibfeed.stream import EventStream, Topics, Wanted
from support.queue_events import book_change, venue_events
from support.reader_records import AT_MS, CONID, EPOCH, change, contract, feed_event, tick

EVENTS = list(
    EventStream(Topics(), Wanted(), skip_unreadable=False).events(
        [
            contract(),
            tick(1, price="71.90"),
            change("snapshot", 1, bids=[("71.89", "12"), ("71.88", "1")], asks=[("71.91", "9")]),
            change("clear", 2, flags=["stale"]),
            feed_event("gap", conid=CONID, symbol="CLZ6", epoch=EPOCH, from_ms=AT_MS, detail="lost"),
            feed_event("alive"),
            tick(2, price="-0.1", flags=()),
        ]
    )
)
EVENTS += [*venue_events(), msgspec.structs.replace(book_change("clear", 3), bids=(), asks=())]
KINDS: list[type[ibfeed.Event]] = [
    *(ibfeed.Tick, ibfeed.Book, ibfeed.Gap, ibfeed.Status, ibfeed.Contract),
    *(ibfeed.BookChange, ibfeed.Trade, ibfeed.Bar),
]
MS, NS = "ms, tz=UTC", "ns, tz=UTC"
ARROW = {
    "event_time": f"timestamp[{MS}]",
    "start_time": f"timestamp[{MS}]",
    "at": f"timestamp[{MS}]",
    "from": f"timestamp[{MS}]",
    "to": f"timestamp[{MS}]",
    "received": f"timestamp[{NS}]",
    "flags": "list",
    "known": "bool",
    "final": "bool",
    "first_notice_day": "date32[day]",
    "last_trading_day": "date32[day]",
    **dict.fromkeys(["conid", "seq", "level", "epoch", "duration", "trade_count"], "int64"),
    **dict.fromkeys(["price", "size", "bid", "bid_size", "ask", "ask_size", "volume", "open_interest"], "double"),
    **dict.fromkeys(["open", "high", "low", "close"], "double"),
    **dict.fromkeys(["multiplier", "min_price_increment"], "double"),
}
PANDAS = {
    f"timestamp[{MS}]": "datetime64[ms, UTC]",
    f"timestamp[{NS}]": "datetime64[ns, UTC]",
    "list": "object",
    "bool": "boolean",
    "date32[day]": "object",
    "int64": "Int64",
    "double": "float64",
    "string": "str",
}
POLARS = {
    f"timestamp[{MS}]": "Datetime(time_unit='ms', time_zone='UTC')",
    f"timestamp[{NS}]": "Datetime(time_unit='ns', time_zone='UTC')",
    "list": "List(String)",
    "bool": "Boolean",
    "date32[day]": "Date",
    "int64": "Int64",
    "double": "Float64",
    "string": "String",
}


@pytest.mark.parametrize("events", [EVENTS, []], ids=["full", "empty"])
@pytest.mark.parametrize("kind", KINDS)
def test_columns_have_the_documented_types(kind: type[ibfeed.Event], events: list[ibfeed.Event]) -> None:
    arrow, polars = ibfeed.to_arrow(events, kind), ibfeed.to_polars(events, kind)
    pandas = ibfeed.to_pandas(events, kind)
    names = arrow.column_names
    assert names == polars.columns == list(pandas.columns)
    of = {name: ARROW.get(name, "string") for name in names}
    assert {name: str(arrow.schema.field(name).type).partition("<")[0] for name in names} == of
    assert {name: str(polars.schema[name]) for name in names} == {name: POLARS[of[name]] for name in names}
    assert {name: str(pandas.dtypes[name]) for name in names} == {name: PANDAS[of[name]] for name in names}


@pytest.mark.parametrize(
    "make", [lambda: ibfeed.to_arrow(EVENTS).to_pylist(), lambda: ibfeed.to_polars(EVENTS).to_dicts()]
)
def test_ticks_become_rows(make: Callable[[], list[dict[str, Any]]]) -> None:
    first, second = make()
    assert (first["symbol"], first["conid"], first["price"], first["bid"]) == ("CLZ6", CONID, 71.9, 71.89)
    assert first["event_time"] == dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=AT_MS + 1)
    assert (second["price"], second["open_interest"], second["flags"]) == (-0.1, None, [])


def test_nanoseconds_are_kept() -> None:
    expected = AT_MS * 1_000_000 + 1
    assert ibfeed.to_arrow(EVENTS)["received"].cast("int64")[0].as_py() == expected
    assert ibfeed.to_polars(EVENTS)["received"].cast(int)[0] == expected
    assert ibfeed.to_pandas(EVENTS)["received"].iloc[0].value == expected


def test_pandas_has_missing_values() -> None:
    gaps = ibfeed.to_pandas(EVENTS, ibfeed.Gap)
    assert gaps["from"].iloc[0].timestamp() * 1000 == AT_MS
    assert bool(gaps["to"].isna().iloc[0])
    assert bool(ibfeed.to_pandas(EVENTS)["open_interest"].isna().all())


def test_book_has_a_row_for_each_level() -> None:
    rows = ibfeed.to_polars(EVENTS, ibfeed.Book).select("reason", "side", "level", "price", "size").rows()
    assert rows == [
        ("snapshot", "bid", 0, 71.89, 12.0),
        ("snapshot", "bid", 1, 71.88, 1.0),
        ("snapshot", "ask", 0, 71.91, 9.0),
        ("clear", None, None, None, None),
    ]


def test_contract_keeps_its_days() -> None:
    (row,) = ibfeed.to_arrow(EVENTS, ibfeed.Contract).to_pylist()
    assert (row["last_trading_day"], row["first_notice_day"]) == (dt.date(2026, 11, 20), None)
    assert (row["multiplier"], row["min_price_increment"]) == (1000.0, 0.01)


@pytest.mark.parametrize(
    ("make", "module", "command"),
    [
        (ibfeed.to_pandas, "pandas", r"pip install 'ibfeed\[pandas\]'"),
        (ibfeed.to_polars, "polars", r"pip install 'ibfeed\[polars\]'"),
        (ibfeed.to_arrow, "pyarrow", r"pip install 'ibfeed\[arrow\]'"),
    ],
)
def test_missing_library_is_said_with_the_command(
    make: Callable[[list[ibfeed.Event]], object], module: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ibfeed.MissingExtraError, match=command) as found:
        make(EVENTS)
    assert isinstance(found.value, ImportError)
    assert "\n" not in str(found.value)


def test_changes_trades_and_bars_become_rows() -> None:
    changes = ibfeed.to_polars(EVENTS, ibfeed.BookChange).select("kind", "side", "price", "size").rows()
    assert changes[2:] == [("delta", "bid", 72.0, 1.1), ("delta", "ask", 143.8, 2.0), ("clear", None, None, None)]
    (trade,) = ibfeed.to_polars(EVENTS, ibfeed.Trade).to_dicts()
    assert (trade["source"], trade["price"], trade["size"], trade["side"]) == ("kraken", 71.9, 0.001, "buy")
    (bar,) = ibfeed.to_polars(EVENTS, ibfeed.Bar).to_dicts()
    assert (bar["close"], bar["volume"], bar["trade_count"], bar["final"]) == (-0.1, None, 3, True)
