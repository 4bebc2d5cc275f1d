"""A thread of one object's own, for calls that block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

Result = TypeVar("Result")


class OwnThread:
    """One thread, which starts with the first call."""

    def __init__(self) -> None:
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix="ibfeed")

    async def call(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Let the thread do ``work``. A task that is cancelled waits until the thread is done with it."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # it is seen, so asyncio does not log it
            raise

    def end(self) -> None:
        """End the thread, after the call that it is busy with."""
        self._thread.shutdown()
