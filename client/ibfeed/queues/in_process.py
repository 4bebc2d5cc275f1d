"""A queue within one asyncio program."""

from __future__ import annotations

import asyncio

from ibfeed.events import Event


class AsyncioQueue:
    """A queue in this process. ``publish`` waits while it holds ``room`` events, so no event is lost.

    Several consumers share its events.
    """

    def __init__(self, room: int) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(room)  # apart from the queue, so that ``close`` finds room in a full one

    async def publish(self, event: Event) -> None:
        """Add an event, and wait while the queue is full."""
        await self._room.acquire()
        self._events.put_nowait(event)

    async def close(self) -> None:
        """Say that no more events come. It waits for nothing."""
        self._events.put_nowait(None)

    async def consume(self) -> Event | None:
        """Wait for the next event and return it; None: the queue is closed, and no more come."""
        event = await self._events.get()
        if event is None:
            self._events.put_nowait(None)  # for each further consumer
        else:
            self._room.release()
        return event

    async def release(self) -> None:
        """Do nothing: there is nothing to give back."""
