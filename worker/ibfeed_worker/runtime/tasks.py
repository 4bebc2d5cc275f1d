"""Helpers for tasks: wait for the first of several, cancel the rest, and run a way out to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ibfeed_api.log import Log

_log = Log(__name__)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their ends. An error that one raises while ending is logged, not lost.

    They are cancelled once, even if the caller is cancelled meanwhile. On its way out a task logs out and frees its
    account, and a second reason to stop must not cut that short.
    """
    for task in tasks:
        task.cancel()
    try:
        await _ended(*tasks)
    finally:
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.warning("a task failed while it was being stopped", error=f"{type(error).__name__}: {error}")


async def to_the_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a way out whose steps are all bounded. It is not cut short even if the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(coroutine)
    await _ended(task)
    task.result()


async def _ended(*tasks: asyncio.Future[Any]) -> None:
    """Wait until all have ended; only then pass on a cancellation that came meanwhile."""
    pending, interrupted = set(tasks), False
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError:
            interrupted = True
            pending = {task for task in pending if not task.done()}
    if interrupted:
        raise asyncio.CancelledError


async def first(*coroutines: Coroutine[Any, Any, Any]) -> int:
    """Run all until one ends, and cancel the rest. Return the index of the one that ended, or raise its error."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(*(task for task in tasks if not task.done()))
    for index, task in enumerate(tasks):
        if task in done:
            task.result()
            return index
    raise AssertionError("asyncio.wait returned without a finished task")


async def bounded(coroutine: Coroutine[Any, Any, Any], limit: float, what: str) -> bool:
    """Run a step of the way out for at most ``limit`` seconds. Return whether it succeeded.

    A failure is logged and never stops the way out. ``what`` names the step in the log.
    """
    try:
        async with asyncio.timeout(limit):
            await coroutine
    except Exception as error:  # noqa: BLE001 - the next step must run whatever this one did
        _log.warning(f"{what}: not done", error=f"{type(error).__name__}: {error}", limit=limit)
        return False
    return True
