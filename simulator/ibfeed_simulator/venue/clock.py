"""The venue's clock: the machine's with an offset, so that a test can let contracts expire."""

from __future__ import annotations

import datetime as dt
import time
from zoneinfo import ZoneInfo

_ZONE = ZoneInfo("America/New_York")


class Clock:
    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Return the venue's time in seconds since 1970."""
        return time.time() + self._offset

    def now_ms(self) -> int:
        return int(self.now() * 1000)

    def set(self, epoch_seconds: float) -> None:
        self._offset = epoch_seconds - time.time()

    @property
    def offset(self) -> float:
        return self._offset


class DailyReset:
    """The daily reset of all sessions, at a time of day in New York."""

    def __init__(self, at: dt.time, now: float) -> None:
        self._at = at
        self.skip_to(now)

    def skip_to(self, now: float) -> None:
        """Make the first reset after ``now`` the next one."""
        day = dt.datetime.fromtimestamp(now, _ZONE).date()
        moment = dt.datetime.combine(day, self._at, _ZONE)
        if moment.timestamp() <= now:
            moment = dt.datetime.combine(day + dt.timedelta(days=1), self._at, _ZONE)
        self._next = moment.timestamp()

    def is_over(self, now: float) -> bool:
        """Whether a reset has come since the last call."""
        if now < self._next:
            return False
        self.skip_to(now)
        return True
