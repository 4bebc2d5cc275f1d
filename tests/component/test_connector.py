"""A connector against a websocket server that plays a recording: it connects again, and tells all that happens."""

from __future__ import annotations

import asyncio

import pytest

import ibfeed
from ibfeed.connectors.connector import Connector, Patience
from ibfeed.connectors.kraken import Kraken
from support.kraken_recording import PlayedVenue, truths
from support.ports import free_port

QUICK = Patience(connect_s=5, quiet_s=5, first_pause_s=0.01, longest_pause_s=0.04, attempts=5, settled_s=60)


class Desk(ibfeed.EventHandler):
    """Collects what it needs, and knows when the recording is over."""

    def __init__(self) -> None:
        self.books: list[ibfeed.Book] = []
        self.trades: list[int] = []
        self.gaps: list[str] = []
        self.told: list[str] = []
        self.over = asyncio.Event()

    async def on_book(self, book: ibfeed.Book) -> None:
        self.books.append(book)

    async def on_trade(self, trade: ibfeed.Trade) -> None:
        self.trades.append(trade.seq)
        if trade.seq == 110:
            self.over.set()

    async def on_gap(self, gap: ibfeed.Gap) -> None:
        self.gaps.append(gap.reason)

    async def on_status(self, status: ibfeed.Status) -> None:
        self.told.append(f"{status.kind}: {status.detail}")


async def test_recording_reaches_the_handler_over_a_lost_connection() -> None:
    queue, desk = ibfeed.AsyncioQueue(1), Desk()
    async with PlayedVenue() as venue:
        connector = asyncio.create_task(Connector([Kraken(["BTC/USD"], url=venue.url)], queue, QUICK).run())
        client = asyncio.create_task(ibfeed.Client(queue, desk).run())
        await asyncio.wait_for(desk.over.wait(), 20)
        connector.cancel()
        await asyncio.wait_for(client, 10)  # the queue is closed when the connector ends
    known = [book for book in desk.books if book.known]
    assert [len(book.bids) for book in known] == [len(truth["bids"]) for truth in truths()]
    assert desk.trades == [101, 102, 103, 106, 107, 108, 109, 110]
    assert len(desk.gaps) == 3
    kinds = [text.partition(":")[0] for text in desk.told]
    assert kinds == ["connected", "venue", "refused", "disconnected", "connected", "venue", "refused"]
    assert (
        desk.told[3] == "disconnected: the venue closed the connection with code 1000; attempt 2 of 5 follows in 0.01 s"
    )


async def test_refused_connections_are_tried_again() -> None:
    queue = ibfeed.AsyncioQueue(1000)
    async with PlayedVenue(refuse=2) as venue:
        connector = asyncio.create_task(Connector([Kraken(["BTC/USD"], url=venue.url)], queue, QUICK).run())
        found = [await asyncio.wait_for(queue.consume(), 10) for _ in range(3)]
        connector.cancel()
        await asyncio.wait([connector])
    assert [event.kind for event in found if isinstance(event, ibfeed.Status)] == [
        "disconnected",
        "disconnected",
        "connected",
    ]


async def test_venue_that_is_away_is_given_up_and_said() -> None:
    queue, url = ibfeed.AsyncioQueue(1000), f"http://127.0.0.1:{free_port()}"
    with pytest.raises(
        ibfeed.VenueUnreachableError, match=f"5 connections to {url} failed in a row.*check the address"
    ):
        await asyncio.wait_for(Connector([Kraken(["BTC/USD"], url=url)], queue, QUICK).run(), 20)
    events = []
    while (event := await queue.consume()) is not None:
        events.append(event)
    kinds = [event.kind for event in events if isinstance(event, ibfeed.Status)]
    assert kinds == ["disconnected"] * 4 + ["given_up"]


async def test_silent_venue_counts_as_lost() -> None:
    queue = ibfeed.AsyncioQueue(1000)
    patience = Patience(quiet_s=0.1, first_pause_s=0.01, attempts=2)
    async with PlayedVenue() as venue:
        venue._left = [[], []]
        with pytest.raises(ibfeed.VenueUnreachableError, match=r"no frame came for 0\.1 s"):
            await asyncio.wait_for(Connector([Kraken(["BTC/USD"], url=venue.url)], queue, patience).run(), 20)
