"""Event-driven clients: a queue between the reader and a handler with one method for each kind of event.

::

    class Printer(ibfeed.EventHandler):
        async def on_tick(self, tick: ibfeed.Tick) -> None:
            print(tick.symbol, tick.price)

    queue = ibfeed.AsyncioQueue(10_000)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ibfeed.forward(ibfeed.aread("kafka:9092", feed="energy"), queue))
        tasks.create_task(ibfeed.Client(queue, Printer()).run())

``Queue`` is a protocol. A queue of your own, such as one of Redis, needs its three methods.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Protocol

from ibfeed.events import Book, Contract, Event, Gap, Status, Tick


class Publisher(Protocol):
    """The end of a queue that events are put into."""

    async def publish(self, event: Event) -> None:
        """Add an event, and wait while the queue is full."""

    async def close(self) -> None:
        """Say that no more events come."""


class Consumer(Protocol):
    """The end of a queue that events are taken from."""

    async def consume(self) -> Event | None:
        """Wait for the next event and return it; None: the queue is closed, and no more come."""


class Queue(Publisher, Consumer, Protocol):
    """Both ends."""


class AsyncioQueue:
    """A queue in this process. ``publish`` waits while it holds ``room`` events, so no event is lost."""

    def __init__(self, room: int) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(room)

    async def publish(self, event: Event) -> None:
        """Add an event, and wait while the queue is full."""
        await self._events.put(event)

    async def close(self) -> None:
        """Say that no more events come."""
        await self._events.put(None)

    async def consume(self) -> Event | None:
        """Wait for the next event and return it; None: the queue is closed, and no more come."""
        event = await self._events.get()
        if event is None:
            self._events.put_nowait(None)  # for each further consumer
        return event


class EventHandler:
    """The base of handlers. Each method does nothing; override those that you need."""

    async def on_tick(self, tick: Tick) -> None:
        """Handle a tick."""

    async def on_book(self, book: Book) -> None:
        """Handle an order book after a change."""

    async def on_gap(self, gap: Gap) -> None:
        """Handle the news that records are missing."""

    async def on_status(self, status: Status) -> None:
        """Handle something that happened to the feed."""

    async def on_contract(self, contract: Contract) -> None:
        """Handle a contract's reference data."""


class Client:
    """A client that takes events from a queue and gives each to its handler's method."""

    def __init__(self, queue: Consumer, handler: EventHandler) -> None:
        self._queue = queue
        self._handler = handler

    async def run(self) -> None:
        """Handle events, one after the other, until the queue is closed. Raises what the handler raises."""
        while (event := await self._queue.consume()) is not None:
            match event:
                case Tick():
                    await self._handler.on_tick(event)
                case Book():
                    await self._handler.on_book(event)
                case Gap():
                    await self._handler.on_gap(event)
                case Status():
                    await self._handler.on_status(event)
                case Contract():
                    await self._handler.on_contract(event)


async def forward(events: AsyncIterable[Event], queue: Publisher) -> None:
    """Put events into a queue, and close it when there are no more.

    For a reader with a ``group`` an event counts as done once it is in the queue.
    """
    async for event in events:
        await queue.publish(event)
    await queue.close()
