"""A buffer of ticks that are not (yet, or no more) ours to publish, so that the next publisher misses none. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from ibfeed_api.records import Tick

# A hand-over takes seconds. One that has begun when the API server goes away takes as long as that: a managed control
# plane is away for minutes at an upgrade. IB sends two updates a second at most.
MOST: Final = 2000
LONGEST_NS: Final = 900 * 10**9
# A hot standby's account may have a hundred of them for ever. A worker is known to be lost within 10 s.
HOT_NS: Final = 60 * 10**9
OUTGROWN: Final = "more ticks came than are held during a hand-over"


class HeldTick(NamedTuple):
    """A tick that is held.

    Args:
        why: says why updates may be missing before this one; empty if none are.
        after: then the event time (ms) of the latest update before them; None if that is not known.
    """

    tick: Tick
    why: str = ""
    after: int | None = None


class HandoverBuffer:
    """The latest ticks, oldest first: at most ``MOST``, and of the last ``LONGEST_NS`` or less.

    The newest stays in any case.
    """

    def __init__(self) -> None:
        self._ticks: deque[HeldTick] = deque()
        self._outgrown: int | None = None  # event time (ms) of the latest tick that was dropped

    def add(self, held: HeldTick, longest_ns: int = LONGEST_NS) -> int:
        """Add a tick; return how many were dropped for it: those that came ``longest_ns`` or more before it."""
        ticks = self._ticks
        ticks.append(held)
        before = len(ticks)
        oldest = held.tick.received_ns - longest_ns
        while len(ticks) > MOST or ticks[0].tick.received_ns < oldest:
            self._outgrown = ticks.popleft().tick.event_time
        return before - len(ticks)

    def put_back(self, tick: Tick) -> None:
        """Put back a tick that was on its way and did not leave: it comes before all others."""
        self._ticks.appendleft(HeldTick(tick))

    def go_on(self, mark: int | None, own: int | None) -> list[HeldTick]:
        """Return the ticks that are to be published now, and hold none any more.

        IB may give two updates the same time. Another worker's mark does not say which of them it is, so no update of
        its time is published.

        Args:
            mark: event time of the latest update on Kafka, if known.
            own: event time of the latest update that this process handed over. All held ticks came after it.
        """
        if own is not None and (mark is None or own >= mark):
            mark, left = own, list(self._ticks)
        else:
            left = [held for held in self._ticks if mark is None or held.tick.event_time > mark]
        outgrown = self._outgrown
        self._ticks.clear()
        self._outgrown = None
        if left and outgrown is not None and (mark is None or outgrown > mark):
            left[0] = HeldTick(left[0].tick, OUTGROWN, mark)
        return [held._replace(after=_later(held.after, mark)) if held.why else held for held in left]

    def never_published(self) -> None:
        """Note that nothing was published before the oldest tick, so nothing is missing before it."""
        if self._ticks:
            self._ticks[0] = HeldTick(self._ticks[0].tick)


def _later(one: int | None, other: int | None) -> int | None:
    return max((time for time in (one, other) if time is not None), default=None)
