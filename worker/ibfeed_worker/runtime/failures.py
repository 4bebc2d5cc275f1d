"""Failures of parts that should never end. The first one ends the worker, and its status says why.

A task that nothing awaits, a thread, or a callback of the event loop may die unseen. The worker then looks well and
does half of its work. Such a fault is ours, and no state can be trusted after it, so the process starts again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NoReturn

from ibfeed_api.log import Log

_log: Final = Log(__name__)
_LONGEST_TEXT: Final = 500


class PartFailedError(Exception):
    """A part of the worker ended that should not have. The text says which, and of what."""


class Failures:
    """The first failure of any part of the worker. It belongs to the event loop; only ``of_thread`` is thread-safe."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._first: asyncio.Future[NoReturn] = self._loop.create_future()

    def listen(self) -> None:
        """Also catch callbacks that fail, and tasks whose failure nothing asks for."""
        self._loop.set_exception_handler(self._on_loop)

    async def first(self) -> NoReturn:
        """Raise PartFailedError as soon as a part has failed."""
        await asyncio.shield(self._first)
        raise AssertionError("only ever ends by raising")

    def tell(self, part: str, error: BaseException) -> None:
        """Log that ``part`` has failed; the first such call makes ``first`` raise."""
        _log.error("a part of the worker failed", part=part, cause=error)
        if not self._first.done():
            self._first.set_exception(PartFailedError(describe(part, error)))
            self._first.exception()  # so that asyncio does not log it as never retrieved

    def of_thread(self, part: str, error: BaseException) -> None:
        """Do the same as ``tell``, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.tell, part, error)

    def of_task(self, task: asyncio.Task[Any]) -> None:
        """Report a task's failure. For ``add_done_callback``; a task that is cancelled or returns has not failed."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.tell(task.get_name(), error)

    def _on_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, part = context.get("exception"), context.get("handle") or context.get("future")
        if error is None or part is None:
            loop.default_exception_handler(context)  # an error of a transport, which its owner learns of
            return
        self.tell(part.get_name() if isinstance(part, asyncio.Task) else "a callback", error)


def describe(part: str, error: BaseException) -> str:
    """Return the sentence for the worker's status."""
    return f"its part {part} failed, and it starts again: {type(error).__name__}: {error}"[:_LONGEST_TEXT]
