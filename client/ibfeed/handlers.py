"""Event-driven clients: a queue between the reader and a handler with one method for each kind of event.

::

    class Printer(ibfeed.EventHandler):
        async def on_tick(self, tick: ibfeed.Tick) -> None:
            print(tick.symbol, tick.price)

    queue = ibfeed.AsyncioQueue(10_000)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ibfeed.forward(ibfeed.aread("kafka:9092", feed="energy"), queue))
        tasks.create_task(ibfeed.Client(queue, Printer()).run())

``Queue`` is a protocol: see ``ibfeed.queues`` for its contract, and for queues in Kafka and Redis.
"""

from __future__ import annotations

from collections.abc import AsyncIterable

from ibfeed.books import OrderBooks
from ibfeed.events import Bar, Book, BookChange, Contract, Event, Gap, Status, Tick, Trade
from ibfeed.queues.protocols import Consumer, Publisher


class EventHandler:
    """The base of handlers. Each method does nothing; override those that you need."""

    async def on_tick(self, tick: Tick) -> None:
        """Handle a tick."""

    async def on_book(self, book: Book) -> None:
        """Handle an order book after a change."""

    async def on_book_change(self, change: BookChange) -> None:
        """Handle a snapshot or the changed levels of an order book. ``on_book`` gets the whole book right after it."""

    async def on_trade(self, trade: Trade) -> None:
        """Handle a trade."""

    async def on_bar(self, bar: Bar) -> None:
        """Handle a bar."""

    async def on_gap(self, gap: Gap) -> None:
        """Handle the news that records are missing."""

    async def on_status(self, status: Status) -> None:
        """Handle something that happened to the feed."""

    async def on_contract(self, contract: Contract) -> None:
        """Handle a contract's reference data."""


class Client:
    """A client that takes events from a queue and gives each to its handler's method.

    It keeps the order books of connectors, so ``on_book`` gets whole books, whatever venue they are of.
    """

    def __init__(self, queue: Consumer, handler: EventHandler) -> None:
        self._queue = queue
        self._handler = handler
        self._books = OrderBooks()

    async def run(self) -> None:
        """Handle events, one after the other, until the queue is closed. Raises what the handler raises."""
        while (event := await self._queue.consume()) is not None:
            await self._dispatch(event)

    async def _dispatch(self, event: Event) -> None:
        handler = self._handler
        match event:
            case Tick():
                await handler.on_tick(event)
            case Book():
                await handler.on_book(event)
            case BookChange():
                await handler.on_book_change(event)
                book = self._books.update(event)
                if book is not None:
                    await handler.on_book(book)
            case Trade():
                await handler.on_trade(event)
            case Bar():
                await handler.on_bar(event)
            case Gap():
                await handler.on_gap(event)
            case Status():
                await handler.on_status(event)
            case Contract():
                await handler.on_contract(event)


async def forward(events: AsyncIterable[Event], queue: Publisher) -> None:
    """Put events into a queue, and close it when there are no more.

    For a reader with a ``group`` an event counts as done once it is in the queue.
    """
    async for event in events:
        await queue.publish(event)
    await queue.close()
