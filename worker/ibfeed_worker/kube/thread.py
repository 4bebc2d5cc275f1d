"""Blocking calls off the event loop, each with a hard time limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


async def in_thread(call: Callable[[], Answer], *, limit: float, name: str) -> Answer:
    """Run ``call`` in a daemon thread of its own. Raises TimeoutError after ``limit`` seconds, whatever it does.

    It does not use a pool. Calls that hang would fill a pool and delay the next renewal of a Lease, and its threads are
    joined at exit. The call's own time limits end a thread that no caller waits for any more.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answer] = loop.create_future()

    def settle(value: Answer | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(value)  # type: ignore[arg-type]
        else:
            answer.set_exception(error)

    def work() -> None:
        value, error = None, None
        try:
            value = call()
        except Exception as caught:  # noqa: BLE001 - handed to the caller as it is
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=work, name=name, daemon=True).start()
    async with asyncio.timeout(limit):
        return await answer
