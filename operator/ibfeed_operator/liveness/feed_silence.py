"""Who hears anything of IB: it tells one account's dead feed from a silence of IB's own. Pure.

Goes by ``IbShard.status.lastTickTime``: not by the time that stands in it, which is of the worker's clock, but by when
it was seen to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

REPORT_S: Final = 10.0  # how old a worker's word may be; who finds its feed silent has heard nothing for longer
DOUBT_S: Final = 600.0
DOUBT: Final = f"without data before its session came back: it is given contracts {DOUBT_S:g} s after that"


@dataclass(slots=True)
class _LastTick:
    said: str | None
    heard: float | None = None  # when it was seen to hear something; what it said at first sight may be old
    doubted: float | None = None  # when it came back from a silence without having heard anything


class FeedSilenceTracker:
    """Of the workers of one feed. ``now`` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._ears: dict[int, _LastTick] = {}

    def see(self, said: Mapping[int, str | None], now: float) -> None:
        """What each worker says of its latest tick; who is not named is forgotten."""
        self._ears = {worker: self._ears.get(worker, _LastTick(text)) for worker, text in said.items()}
        for worker, text in said.items():
            ear = self._ears[worker]
            if text is not None and text != ear.said:
                ear.said, ear.heard, ear.doubted = text, now, None

    def hears(self, worker: int, since: float) -> bool:
        """Whether it has heard something since then, or so shortly before that it is as good."""
        heard = self._ears[worker].heard
        return heard is not None and heard >= since - REPORT_S

    def doubt(self, worker: int, now: float) -> None:
        """Its feed was silent, and it has a session again: that proves nothing if it has heard nothing since."""
        self._ears[worker].doubted = now

    def doubted(self, worker: int, now: float) -> bool:
        """Whether it may be as deaf as it was; not for ever, for who has no contracts has nothing to hear."""
        since = self._ears[worker].doubted
        return since is not None and now - since < DOUBT_S
