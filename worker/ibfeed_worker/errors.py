"""Why the session can't go on: the two ways out of every step on the way to streaming."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from ibfeed_api.reasons import Reason


class SessionError(Exception):
    """Try again later: after the usual back-off, or not before ``until``, or after ``delay`` seconds."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        until: datetime | None = None,
        delay: float | None = None,
        restart_gateway: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason: Final = reason
        self.message: Final = message
        self.until: Final = until
        self.delay: Final = delay
        self.restart_gateway: Final = restart_gateway


class ReloginDueError(Exception):
    """The session is to be replaced on schedule; nothing is wrong with it."""


class AccountParkedError(Exception):
    """The account is parked, or is to be: it is not tried again for hours, unless somebody corrects something."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Final = reason
        self.message: Final = message
