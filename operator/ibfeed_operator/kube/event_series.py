"""Which events are posted: repeats become the count of one event, and an object has so many at most. Pure.

Clients of Kubernetes do the same (client-go's EventCorrelator). Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

QUIET_S: Final = 60.0  # an event that repeats is written again this often at most
SERIES_S: Final = 600.0  # a repeat after that long is an event of its own
BURST: Final = 50  # events of one object and kind at once; then one each REFILL_S
REFILL_S: Final = 10.0

Key = tuple[str, str, str]  # kind, reason, subject


@dataclass(frozen=True, slots=True)
class Series:
    """One event and its repeats. ``name``: of its object; ``first``: RFC 3339."""

    name: str
    first: str
    count: int
    seen: float
    written: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """The events of one kind that an object may still have."""

    left: float = BURST
    since: float = 0.0

    def spend(self, now: float) -> tuple[Allowance, bool]:
        """Return what is left after one more event, and whether it is allowed."""
        left = min(float(BURST), self.left + max(0.0, now - self.since) / REFILL_S)
        return (Allowance(left - 1, now), True) if left >= 1 else (Allowance(left, now), False)


@dataclass(slots=True)
class EventSeries:
    """The events of one object in the last minutes."""

    _series: dict[Key, Series] = field(default_factory=dict)
    _allowances: dict[str, Allowance] = field(default_factory=dict)

    def next_write(self, key: Key, now: float, *, name: str, stamp: str) -> Series | None:
        """Note an event. Return what to write: a count of 1 is a new object; None: nothing.

        Args:
            key: which events are the same.
            now: by the monotonic clock.
            name: of the object, if there is a new one.
            stamp: the present moment, RFC 3339.
        """
        self._series = {other: one for other, one in self._series.items() if now - one.seen < SERIES_S}
        before = self._series.get(key)
        if before is None:
            found = Series(name, stamp, 1, now, now)
        else:
            found = replace(before, count=before.count + 1, seen=now)
            self._series[key] = found
            if now - before.written < QUIET_S:
                return None
            found = replace(found, written=now)
        self._allowances[key[0]], allowed = self._allowances.get(key[0], Allowance()).spend(now)
        if not allowed:
            return None
        self._series[key] = found
        return found

    def forget(self, key: Key) -> None:
        """The event could not be written, or is gone: the next one is new."""
        self._series.pop(key, None)
