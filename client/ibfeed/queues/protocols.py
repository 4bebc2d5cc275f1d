"""The contract of a queue.

- Events come in the order in which they were published, each as it was, digits included.
- ``publish`` waits while the queue holds ``room`` events that are not done with. So none is lost.
- An event is done with when its consumer asks for the next one.
- After ``close`` of a publisher, each consumer gets the events before it, and then None.
- Errors name the cause and what to do. They never hold a password.
"""

from __future__ import annotations

from typing import Protocol

from ibfeed.events import Event


class Publisher(Protocol):
    """The end of a queue that events are put into."""

    async def publish(self, event: Event) -> None:
        """Add an event, and wait while the queue is full."""

    async def close(self) -> None:
        """Say that no more events come. It does not wait for room."""


class Consumer(Protocol):
    """The end of a queue that events are taken from."""

    async def consume(self) -> Event | None:
        """Wait for the next event and return it; None: the queue is closed, and no more come."""


class Queue(Publisher, Consumer, Protocol):
    """Both ends."""

    async def release(self) -> None:
        """Note what is done with, and give back connections and threads. The queue is of no use afterwards."""
