"""The venue's clock: the machine's, moved by an offset, so that a test can let contracts expire."""

from __future__ import annotations

import time


class Clock:
    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._offset

    def now_ms(self) -> int:
        return int(self.now() * 1000)

    def set(self, epoch_seconds: float) -> None:
        self._offset = epoch_seconds - time.time()

    @property
    def offset(self) -> float:
        return self._offset
