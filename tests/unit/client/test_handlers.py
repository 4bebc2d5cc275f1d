"""Each event reaches its method, in order, through a queue that loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

import ibfeed
from ibfeed.stream import EventStream, Topics, Wanted
from support.queue_events import bar, book_change, trade, venue_events
from support.reader_records import CONID, EPOCH, change, contract, feed_event, tick

EVENTS = list(
    EventStream(Topics(), Wanted(), skip_unreadable=False).events(
        [
            contract(),
            tick(1),
            change("clear", 1),
            feed_event("gap", conid=CONID, symbol="CLZ6", epoch=EPOCH),
            feed_event("alive"),
            tick(2),
        ]
    )
)


class Recorder(ibfeed.EventHandler):
    def __init__(self) -> None:
        self.calls: list[tuple[str, ibfeed.Event]] = []

    async def on_tick(self, tick: ibfeed.Tick) -> None:
        self.calls.append(("tick", tick))

    async def on_book(self, book: ibfeed.Book) -> None:
        self.calls.append(("book", book))

    async def on_book_change(self, change: ibfeed.BookChange) -> None:
        self.calls.append(("change", change))

    async def on_trade(self, trade: ibfeed.Trade) -> None:
        self.calls.append(("trade", trade))

    async def on_bar(self, bar: ibfeed.Bar) -> None:
        self.calls.append(("bar", bar))

    async def on_gap(self, gap: ibfeed.Gap) -> None:
        self.calls.append(("gap", gap))

    async def on_status(self, status: ibfeed.Status) -> None:
        self.calls.append(("status", status))

    async def on_contract(self, contract: ibfeed.Contract) -> None:
        self.calls.append(("contract", contract))


async def following(events: Iterable[ibfeed.Event]) -> AsyncIterator[ibfeed.Event]:
    for event in events:
        yield event


async def test_each_event_reaches_its_method_in_order() -> None:
    queue, handler = ibfeed.AsyncioQueue(2), Recorder()
    await asyncio.wait_for(
        asyncio.gather(ibfeed.forward(following(EVENTS), queue), ibfeed.Client(queue, handler).run()), 10
    )
    names = ["contract", "tick", "book", "gap", "status", "tick"]
    assert handler.calls == list(zip(names, EVENTS, strict=True))


async def test_handler_needs_no_method_that_it_does_not_use() -> None:
    queue = ibfeed.AsyncioQueue(100)
    await ibfeed.forward(following([*EVENTS, *venue_events()]), queue)
    await asyncio.wait_for(ibfeed.Client(queue, ibfeed.EventHandler()).run(), 10)


async def test_change_of_a_book_comes_before_the_whole_book() -> None:
    queue, handler = ibfeed.AsyncioQueue(100), Recorder()
    changes = [book_change("snapshot", 1), book_change("delta", 2), book_change("delta", 2)]
    await ibfeed.forward(following(changes), queue)
    await asyncio.wait_for(ibfeed.Client(queue, handler).run(), 10)
    assert [name for name, _ in handler.calls] == ["change", "book", "change", "book", "change"]  # the last came twice
    last = handler.calls[3][1]
    assert isinstance(last, ibfeed.Book)
    assert [level.price for level in last.bids] == [72.0, 71.0]


async def test_trades_and_bars_reach_their_methods() -> None:
    queue, handler = ibfeed.AsyncioQueue(100), Recorder()
    await ibfeed.forward(following([trade(1), bar()]), queue)
    await asyncio.wait_for(ibfeed.Client(queue, handler).run(), 10)
    assert handler.calls == [("trade", trade(1)), ("bar", bar())]


async def test_error_of_a_handler_ends_the_client() -> None:
    class Failing(ibfeed.EventHandler):
        async def on_tick(self, tick: ibfeed.Tick) -> None:
            raise ZeroDivisionError

    queue = ibfeed.AsyncioQueue(5)
    await queue.publish(EVENTS[1])
    with pytest.raises(ZeroDivisionError):
        await ibfeed.Client(queue, Failing()).run()
