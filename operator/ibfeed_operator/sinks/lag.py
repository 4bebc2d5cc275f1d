"""Tells a lag that comes and goes from one that stands or grows without end. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

WINDOW_S: Final = 60.0
TOLERATED: Final = 1000  # records; less is a batch on its way, not a sink that falls behind


@dataclass(frozen=True, slots=True)
class LagWatch:
    """The lags of the last two windows, as (monotonic time in s, records), oldest first."""

    samples: tuple[tuple[float, int], ...] = ()

    def observe(self, now: float, lag: int | None) -> LagWatch:
        """Return the watch with one more observation. A lag that is not known starts it again."""
        if lag is None:
            return LagWatch()
        kept = tuple(sample for sample in self.samples if now - sample[0] <= 2 * WINDOW_S)
        return LagWatch((*kept, (now, lag)))

    @property
    def grows(self) -> bool:
        """Whether the lowest lag of a whole window is above the lowest of the window before, and above a batch."""
        now = self.samples[-1][0] if self.samples else 0.0
        recent = [lag for at, lag in self.samples if now - at < WINDOW_S]
        earlier = [lag for at, lag in self.samples if now - at >= WINDOW_S]
        return bool(earlier) and min(recent) > max(TOLERATED, min(earlier))

    def stands(self, for_s: float) -> bool:
        """Whether records have waited for ``for_s``, and the lag has not fallen once."""
        if not self.samples:
            return False
        now = self.samples[-1][0]
        recent = [lag for at, lag in self.samples if now - at <= for_s]
        whole = now - self.samples[0][0] >= for_s
        return whole and min(recent) > 0 and all(before <= after for before, after in pairwise(recent))
