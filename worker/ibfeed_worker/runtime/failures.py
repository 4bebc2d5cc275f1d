"""Parts of the worker that end although they should not: the first one ends the worker, and its status says why.

A task that nobody awaits, a thread, or a callback of the event loop may die and leave a worker that looks well and does
half of its work. Such a fault is ours, and nothing of the state can be trusted after it: so the process starts again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NoReturn

from ibfeed_worker.runtime.log import Log

_log: Final = Log(__name__)
_LONGEST_TEXT: Final = 500


class PartFailedError(Exception):
    """A part of the worker ended that should not have; the text says which, and of what."""


class Failures:
    """Belongs to the event loop; only ``of_thread`` may be called from elsewhere."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._first: asyncio.Future[NoReturn] = self._loop.create_future()

    def listen(self) -> None:
        """Hear also of callbacks that fail, and of tasks whose failure nobody asks for."""
        self._loop.set_exception_handler(self._on_loop)

    async def first(self) -> NoReturn:
        """Raises PartFailed as soon as a part has failed."""
        await asyncio.shield(self._first)
        raise AssertionError("only ever ends by raising")

    def tell(self, part: str, error: BaseException) -> None:
        _log.error("a part of the worker failed", part=part, cause=error)
        if not self._first.done():
            self._first.set_exception(PartFailedError(describe(part, error)))
            self._first.exception()  # heard

    def of_thread(self, part: str, error: BaseException) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.tell, part, error)

    def of_task(self, task: asyncio.Task[Any]) -> None:
        """For ``add_done_callback``: a task that ends only by being cancelled, or by its own decision."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.tell(task.get_name(), error)

    def _on_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, part = context.get("exception"), context.get("handle") or context.get("future")
        if error is None or part is None:
            loop.default_exception_handler(context)  # of a transport: its owner hears of that
            return
        self.tell(part.get_name() if isinstance(part, asyncio.Task) else "a callback", error)


def describe(part: str, error: BaseException) -> str:
    return f"its part {part} failed, and it starts again: {type(error).__name__}: {error}"[:_LONGEST_TEXT]
