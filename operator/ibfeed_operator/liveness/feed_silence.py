"""Tells the dead feed of one account from a silence of IB's own. Pure.

It goes by ``IbShard.status.lastTickTime``. The time in that field is of the worker's clock. So only the moment counts
at which the operator saw it change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# How old a worker's report may be. A worker reports its feed silent only after a longer silence.
REPORT_S: Final = 10.0
UNPROVEN_S: Final = 600.0
UNPROVEN: Final = f"without data before its session came back: it is given contracts {UNPROVEN_S:g} s after that"


@dataclass(slots=True)
class _LastTick:
    reported: str | None
    changed_at: float | None = None  # when a new tick was seen; None at first sight, since the first report may be old
    unproven_since: float | None = None  # when it came back from a silence without a tick


class FeedSilenceTracker:
    """The latest ticks of the workers of one feed. ``now`` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._ticks: dict[int, _LastTick] = {}

    def observe(self, reports: Mapping[int, str | None], now: float) -> None:
        """Take in what each worker reports of its latest tick. A worker that is not named is forgotten."""
        self._ticks = {worker: self._ticks.get(worker, _LastTick(text)) for worker, text in reports.items()}
        for worker, text in reports.items():
            tick = self._ticks[worker]
            if text is not None and text != tick.reported:
                tick.reported, tick.changed_at, tick.unproven_since = text, now, None

    def has_ticked_since(self, worker: int, since: float) -> bool:
        """Whether a new tick was seen since then, or at most ``REPORT_S`` before."""
        changed_at = self._ticks[worker].changed_at
        return changed_at is not None and changed_at >= since - REPORT_S

    def mark_unproven(self, worker: int, now: float) -> None:
        """Note that a worker has a session again after a silence. Until its next tick, that proves nothing."""
        self._ticks[worker].unproven_since = now

    def is_unproven(self, worker: int, now: float) -> bool:
        """Whether its feed may be as silent as before.

        It ends after ``UNPROVEN_S``, since a worker without contracts has nothing to receive.
        """
        since = self._ticks[worker].unproven_since
        return since is not None and now - since < UNPROVEN_S
