"""A recording in Kraken's public format: books, trades and bars come out right, and each loss is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeVar

import pytest

import ibfeed
import ibfeed.events
from ibfeed.connectors.kept_book import KeptBook
from ibfeed.connectors.kraken import Kraken, checksum
from ibfeed.connectors.normaliser import Send
from support.kraken_recording import frames, truths

RECEIVED_NS = 1_696_613_755_000_000_000
BTC = ibfeed.events.instrument_id("kraken", "BTC/USD")
Kind = TypeVar("Kind")


def played() -> list[ibfeed.Event | Send]:
    kraken = Kraken(["BTC/USD", "XXX/USD"])
    found: list[ibfeed.Event | Send] = []
    for number, frame in enumerate(frames()):
        received_ns = RECEIVED_NS + number * 1_000_000_000
        if frame is None:
            found += kraken.disconnected(received_ns // 1_000_000)
        else:
            found += kraken.normalise(frame, received_ns)
    return found


def of(kind: type[Kind], events: Sequence[object]) -> list[Kind]:
    return [event for event in events if isinstance(event, kind)]


def test_documented_example_has_the_documented_checksum() -> None:
    first = next(frame for frame in frames() if frame and b'"channel":"book","type":"snapshot"' in frame)
    data = json.loads(first, parse_float=Decimal)["data"][0]
    book = KeptBook("BTC/USD", "kraken", 10, 0)
    levels = [[(Decimal(level["price"]), level["qty"]) for level in data[side]] for side in ("bids", "asks")]
    book.merge(*levels)
    assert checksum(book) == 3_310_070_434


def test_rebuilt_books_are_the_venue_s() -> None:
    books = ibfeed.OrderBooks()
    rebuilt = [books.update(change) for change in of(ibfeed.BookChange, played())]
    known = [book for book in rebuilt if book is not None and book.known]
    found = [
        {
            "symbol": book.symbol,
            "bids": [[f"{price:f}", f"{size:f}"] for price, size in book.exact_bids],
            "asks": [[f"{price:f}", f"{size:f}"] for price, size in book.exact_asks],
        }
        for book in known
    ]
    assert found == truths()
    assert {(book.source, book.conid) for book in known} == {("kraken", BTC)}


def test_change_numbers_have_no_hole() -> None:
    changes = of(ibfeed.BookChange, played())
    assert [change.seq for change in changes] == list(range(changes[0].seq, changes[0].seq + len(changes)))
    kinds = [change.kind for change in changes]
    # The fifth is whole because a minute is over. A checksum was wrong, and later on the connection was lost.
    assert kinds == [
        *("snapshot", "delta", "delta", "delta", "snapshot", "clear", "snapshot", "delta", "clear", "snapshot", "delta")
    ]


def test_level_that_falls_out_of_the_depth_is_removed() -> None:
    third = of(ibfeed.BookChange, played())[2]
    assert third.bids == ((Decimal("45282.5"), Decimal(2)), (Decimal("45276.6"), Decimal(0)))


def test_wrong_checksum_takes_the_book_again() -> None:
    events = played()
    asked = [json.loads(output.frame) for output in of(Send, events)]
    params = {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}
    assert asked == [{"method": "unsubscribe", "params": params}, {"method": "subscribe", "params": params}]


def test_each_loss_is_told_as_a_gap() -> None:
    gaps = of(ibfeed.Gap, played())
    told = [(gap.reason, gap.from_ms and gap.from_ms % 100_000, gap.to_ms and gap.to_ms % 100_000) for gap in gaps]
    assert told == [
        ("Kraken's trades 104 to 105 are missing", 55_440, 59_000),
        ("the checksum of Kraken's book differs from ours", 21_000, 23_500),
        ("the connection was lost", 24_000, 40_000),
    ]
    assert {(gap.feed, gap.symbol, gap.conid) for gap in gaps} == {("kraken", "BTC/USD", BTC)}


def test_trades_come_once_and_with_all_digits() -> None:
    trades = of(ibfeed.Trade, played())
    assert [trade.seq for trade in trades] == [101, 102, 103, 106, 107, 108, 109, 110]
    assert [trade.seq for trade in trades if trade.flags] == [101, 102, 108, 109]
    assert (str(trades[0].price), str(trades[0].size), trades[0].side) == ("45284.0", "0.00050000", "buy")
    assert trades[0].event_time == 1_696_613_740_100


def test_bar_is_final_once_the_next_one_begins() -> None:
    bars = [(bar.start_time // 60_000 % 60, str(bar.close), bar.final) for bar in of(ibfeed.Bar, played())]
    first = [(34, "45281.0", True), (35, "45283.5", False), (35, "45286.4", False), (35, "45286.4", True)]
    again = [(35, "45286.4", True), (36, "45290.1", True), (37, "45290.0", False)]
    assert bars == [*first, (36, "45286.4", False), *again]
    assert {bar.duration for bar in of(ibfeed.Bar, played())} == {60}


def test_state_and_refusals_of_the_venue_are_told() -> None:
    told = [(status.kind, status.symbol, status.detail) for status in of(ibfeed.Status, played())]
    refused = "Kraken refuses to subscribe XXX/USD: Currency pair not supported XXX/USD; correct the symbols"
    assert told == [("venue", None, "Kraken is online"), ("refused", "XXX/USD", refused)] * 2


def test_subscriptions_are_declared() -> None:
    kraken = Kraken(["BTC/USD"], channels=["ohlc", "book"], depth=25, bar_minutes=5)
    assert [json.loads(frame) for frame in kraken.subscriptions()] == [
        {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 25}},
        {"method": "subscribe", "params": {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 5}},
    ]
    with pytest.raises(ValueError, match="book, trade, ohlc, and not ticker"):
        Kraken(["BTC/USD"], channels=["ticker"])


@pytest.mark.parametrize("frame", [b"", b"[]", b'{"channel":"trade","data":[{"symbol":"BTC/USD"}]}'])
def test_frame_that_is_not_documented_is_refused(frame: bytes) -> None:
    with pytest.raises(ibfeed.FrameError, match="does not document"):
        Kraken(["BTC/USD"]).normalise(frame, RECEIVED_NS)


def test_same_recording_gives_the_same_events() -> None:
    first: Any = played()
    assert first == played()
