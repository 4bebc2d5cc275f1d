"""The queue within one process loses no event, whoever waits, fails or is cancelled."""

from __future__ import annotations

import asyncio

import ibfeed
from support.queue_events import feed_events

EVENTS = feed_events()


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


async def test_full_queue_can_be_closed() -> None:
    queue = ibfeed.AsyncioQueue(1)
    await queue.publish(EVENTS[0])
    await asyncio.wait_for(queue.close(), 5)
    assert [await queue.consume(), await queue.consume(), await queue.consume()] == [EVENTS[0], None, None]


async def test_cancelled_publisher_takes_no_room() -> None:
    queue = ibfeed.AsyncioQueue(1)
    await queue.publish(EVENTS[0])
    waiting = asyncio.create_task(queue.publish(EVENTS[1]))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await queue.consume() is EVENTS[0]
    await asyncio.wait_for(queue.publish(EVENTS[2]), 5)
    assert await queue.consume() is EVENTS[2]
