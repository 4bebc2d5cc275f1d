"""One event of each kind, with digits that a float would lose, for the tests of queues and of their codec."""

from __future__ import annotations

from decimal import Decimal

import ibfeed
from ibfeed.stream import EventStream, Topics, Wanted
from support.reader_records import AT_MS, CONID, EPOCH, change, contract, feed_event, tick

LONG = Decimal("71.900000000000000000001")


def feed_events() -> list[ibfeed.Event]:
    """Events as the reader of a feed makes them: contract, tick, book, gap, status."""
    messages = [
        contract(),
        tick(1, price="71.90"),
        change("snapshot", 1, bids=[("71.90", "3")], asks=[("71.91", "12.0")]),
        feed_event("gap", conid=CONID, symbol="CLZ6", epoch=EPOCH),
        feed_event("alive"),
    ]
    return list(EventStream(Topics(), Wanted(), skip_unreadable=False).events(messages))


def venue_events() -> list[ibfeed.Event]:
    """Events as a connector makes them: trade, bar, book change."""
    return [trade(1), bar(), book_change("snapshot", 1), book_change("delta", 2)]


def trade(number: int) -> ibfeed.Trade:
    return ibfeed.Trade(
        symbol="BTC/USD",
        conid=7,
        price=LONG,
        size=Decimal("0.00100000"),
        side="buy",
        event_time=AT_MS,
        received_ns=AT_MS * 1_000_000 + 1,
        seq=number,
        flags=(),
        source="kraken",
    )


def bar() -> ibfeed.Bar:
    return ibfeed.Bar(
        symbol="BTC/USD",
        conid=7,
        start_time=AT_MS,
        duration=60,
        open=LONG,
        high=Decimal("72.0"),
        low=Decimal("71.00"),
        close=Decimal("-0.10"),
        volume=None,
        trade_count=3,
        final=True,
        received_ns=1,
        source="kraken",
    )


def book_change(kind: str, number: int) -> ibfeed.BookChange:
    return ibfeed.BookChange(
        symbol="BTC/USD",
        conid=7,
        event_time=AT_MS,
        kind=kind,  # type: ignore[arg-type]
        bids=((Decimal(70 + number), Decimal("1.10")),),
        asks=((LONG * 2, Decimal(2)),),
        seq=number,
        flags=(),
        source="kraken",
    )
