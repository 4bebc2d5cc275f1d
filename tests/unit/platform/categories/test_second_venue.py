"""A second venue's events are valid category rows, and come back from them. No topic of ours carries them yet.

The streams are declared here: a stream of a category's source needs a topic with a JSON Schema of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jsonschema
import msgspec
import pytest

import ibfeed
import ibfeed.events
from ibfeed.connectors.kraken import Kraken
from ibfeed_api.records import TOPIC_DEPTH
from ibfeed_platform.categories.codec import decode, encode
from ibfeed_platform.categories.json_schema import json_schema
from ibfeed_platform.categories.rows import Row, to_record, to_rows
from ibfeed_platform.categories.source import Category, Levels, Stream
from ibfeed_platform.categories.states import WORDS, Values
from support.categories import NEWEST
from support.kraken_recording import frames

REFERENCE: Final = {"conid": ibfeed.events.instrument_id("kraken", "BTC/USD"), "currency": "USD"}
BAR_KEYS: Final = ("start_time", "duration", "open", "high", "low", "close", "volume", "trade_count")


def events_of(kind: type[ibfeed.Event]) -> list[Any]:
    kraken = Kraken(["BTC/USD"])
    found = [event for frame in frames() if frame for event in kraken.normalise(frame, 1_696_613_755_000_000_000)]
    return [event for event in found if isinstance(event, kind)]


def with_stream(category: str, topic: str, keys: Mapping[str, str | Levels]) -> Category:
    stream = Stream(topic, [1], {"symbol": "symbol", "conid": "instrument_id", **keys}, [], {"source_system": "kraken"})
    return msgspec.structs.replace(NEWEST[category], streams=[stream])


def valid_rows(category: Category, record: Mapping[str, Any]) -> list[Row]:
    """The rows of a record. They are valid, and the record comes back from them with all its digits."""
    topic = category.streams[0].topic
    rows = to_rows(category, topic, record, REFERENCE)
    validator = jsonschema.Draft202012Validator(msgspec.json.decode(json_schema(category)))
    for row in rows:
        validator.validate(decode(encode(row)))
    assert encode(to_record(category, topic, rows)) == encode(record)
    return rows


def test_trade_is_a_market_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    def words(name: str, values: Values) -> set[str]:
        return {"live", "changed"} if name in ("price", "size") else {"missing" if values[name] is None else "present"}

    monkeypatch.setitem(WORDS, "kraken-trades", words)
    keys = ("price", "size", "event_time", "market_data_type", "received_ns", "seq", "flags")
    renamed = {key: {"received_ns": "received_time"}.get(key, key) for key in keys}
    category = with_stream("market_tick", "kraken-trades", renamed)
    trade = events_of(ibfeed.Trade)[0]
    told = {name: getattr(trade, name, "trade") for name in ("symbol", "conid", *keys)}
    (row,) = valid_rows(category, told | {"flags": list(trade.flags)})
    assert (row["source_system"], row["price_unit"], row["size_dtype"]) == ("kraken", "USD", "decimal(8)")
    assert (row["price_state"], row["bid_state"]) == ("live+changed", "missing")


def test_book_change_is_rows_of_an_order_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORDS, "kraken-books", WORDS[TOPIC_DEPTH])
    sides = {"bids": Levels("bid"), "asks": Levels("ask")}
    same = {name: name for name in ("event_time", "kind", "seq", "flags")}
    category = with_stream("order_book", "kraken-books", {**same, **sides})
    for change in events_of(ibfeed.BookChange):
        told = {name: getattr(change, name) for name in ("symbol", "conid", *same)} | {"flags": list(change.flags)}
        levels = {side: [list(level) for level in getattr(change, side)] for side in sides}
        rows = valid_rows(category, told | levels)
        assert len(rows) == max(1, len(change.bids) + len(change.asks))


@pytest.mark.parametrize("place", [0, 1])
def test_bar_is_a_bar(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bar = events_of(ibfeed.Bar)[place]

    def words(name: str, values: Values) -> set[str]:
        return {"final" if bar.final else "forming"} if name in BAR_KEYS[2:] else {"present"}

    monkeypatch.setitem(WORDS, "kraken-bars", words)
    category = with_stream("bar", "kraken-bars", {name: name for name in BAR_KEYS})
    (row,) = valid_rows(category, {name: getattr(bar, name) for name in ("symbol", "conid", *BAR_KEYS)})
    assert row["close_state"] == ("final" if place == 0 else "forming")
    assert (row["close_unit"], row["duration_unit"]) == ("USD", "s")
