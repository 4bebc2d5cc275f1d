"""Wait for the first of several things to happen, leave nothing of the others running."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ibfeed_worker.log import Log

_log = Log(__name__)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their ends; what they raise while ending is logged, not lost."""
    for task in tasks:
        task.cancel()
    for answer in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(answer, Exception):
            _log.warning("a task failed while it was being stopped", error=f"{type(answer).__name__}: {answer}")


async def first(*coroutines: Coroutine[Any, Any, Any]) -> int:
    """Run all until one ends; cancel the rest; return the index of the one that ended, or raise what it raised."""
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
    """Run a step of the way out for at most ``limit`` seconds; its failure is logged and never stops the way out."""
    try:
        async with asyncio.timeout(limit):
            await coroutine
    except Exception as error:  # noqa: BLE001 - the next step must run whatever this one did
        _log.warning(f"{what}: not done", error=f"{type(error).__name__}: {error}", limit=limit)
        return False
    return True
