"""Calls that block run in a thread of their own, which a cancelled task waits for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ibfeed.threads import OwnThread


async def test_calls_are_made_by_one_thread_that_ends() -> None:
    before = threading.active_count()
    own = OwnThread()
    first, second = [await own.call(threading.get_ident) for _ in range(2)]
    assert first == second != threading.get_ident()
    own.end()
    assert threading.active_count() == before


async def test_error_of_a_call_is_raised() -> None:
    own = OwnThread()
    with pytest.raises(ZeroDivisionError):
        await own.call(lambda: 1 / 0)
    own.end()


async def test_cancelled_task_waits_for_its_call() -> None:
    own, started, go_on, done = OwnThread(), threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        assert go_on.wait(10)
        done.set()

    task = asyncio.create_task(own.call(work))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    go_on.set()
    await asyncio.wait([task], timeout=10)
    assert task.cancelled()
    assert done.is_set()
    own.end()
