"""Each event reaches its method, in order, through a queue that loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

import ibfeed
from ibfeed.stream import EventStream, Topics, Wanted
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
    await ibfeed.forward(following(EVENTS), queue)
    await asyncio.wait_for(ibfeed.Client(queue, ibfeed.EventHandler()).run(), 10)


async def test_full_queue_makes_the_publisher_wait() -> None:
    queue = ibfeed.AsyncioQueue(1)
    await queue.publish(EVENTS[0])
    waiting = asyncio.create_task(queue.publish(EVENTS[1]))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await queue.consume() is EVENTS[0]
    await waiting
    assert await queue.consume() is EVENTS[1]


async def test_closed_queue_ends_every_client() -> None:
    queue = ibfeed.AsyncioQueue(5)
    clients = [asyncio.create_task(ibfeed.Client(queue, ibfeed.EventHandler()).run()) for _ in range(3)]
    await queue.close()
    await asyncio.wait_for(asyncio.gather(*clients), 10)


async def test_error_of_a_handler_ends_the_client() -> None:
    class Failing(ibfeed.EventHandler):
        async def on_tick(self, tick: ibfeed.Tick) -> None:
            raise ZeroDivisionError

    queue = ibfeed.AsyncioQueue(5)
    await queue.publish(EVENTS[1])
    with pytest.raises(ZeroDivisionError):
        await ibfeed.Client(queue, Failing()).run()
