"""The nightly login: wait for the session's appointment, ask to be relieved, and say when to begin.

The operator relieves one worker of a feed at a time. Until then this one streams on. At the latest moment it logs in
again all the same, and the data that it misses are a gap as after any lost session.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from ibfeed_api.log import Log
from ibfeed_worker.session.schedule import Appointment
from ibfeed_worker.session.status import SessionStatus

HEIRS_S: Final = 5.0  # seconds after the last release: until the heirs publish, everything could still come back to us
_LOOK_EVERY_S: Final = 15.0
_log: Final = Log(__name__)


class Relogin:
    """The wait for one scheduled login.

    Args:
        appointment: asked again at each look, for IB may name another end.
        owes: whether any contract is still ours to publish.
        holds: whether any is still in our hands, though released.
        news: set when these may have changed.
    """

    def __init__(
        self,
        board: SessionStatus,
        *,
        appointment: Callable[[], Appointment],
        owes: Callable[[], bool],
        holds: Callable[[], bool],
        is_streaming: Callable[[], bool],
        news: asyncio.Event,
    ) -> None:
        self._board = board
        self._appointment = appointment
        self._owes = owes
        self._holds = holds
        self._is_streaming = is_streaming
        self._news = news

    async def until_due(self) -> None:
        """Return when the session is to be ended now.

        From then on the session status says that a login is under way.
        """
        while not (self._is_streaming() and self._left(self._appointment().due) <= 0):
            if self._left(self._appointment().latest) <= 0:
                break
            await asyncio.sleep(_nap(self._left(self._appointment().due)))
        began = False
        self._board.relogin_due()
        try:
            while self._owes() and self._left(self._appointment().latest) > 0:
                await self._pause(self._appointment().latest)
            released = datetime.now(UTC)
            while not self._owes() and self._holds() and self._left(released + timedelta(seconds=HEIRS_S)) > 0:
                await self._pause(released + timedelta(seconds=HEIRS_S))
            _log.info("logging in again on schedule", relieved=not self._owes())
            self._board.relogin_begins()
            began = True
        finally:
            if not began:
                self._board.relogin_over()

    async def _pause(self, until: datetime) -> None:
        """Wait until something has happened, but not for long."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_nap(self._left(until))):
                await self._news.wait()

    @staticmethod
    def _left(moment: datetime) -> float:
        return (moment - datetime.now(UTC)).total_seconds()


def _nap(left: float) -> float:
    """Return a short time to sleep: the time of day may be set, and an overdue event is looked for each second."""
    return min(_LOOK_EVERY_S, max(left, 1.0))
