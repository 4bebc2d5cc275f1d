"""Ticks of a contract that is not (yet, or no more) ours to publish, kept so that whoever goes on misses none. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from ibfeed_api.records import Tick

MOST: Final = 200
LONGEST_NS: Final = 60 * 10**9  # a hand-over takes seconds, noticing a silent worker ten
OUTGROWN: Final = "more came than is kept while nobody published"


class HeldTick(NamedTuple):
    """``why``: what says that updates may be missing before this one; then ``after`` is the event time (ms) of the
    latest one before them, None if that is not known."""

    tick: Tick
    why: str = ""
    after: int | None = None


class HandoverBuffer:
    """The latest ticks, oldest first: at most ``MOST``, and of the last ``LONGEST_NS`` (the newest stays anyhow)."""

    def __init__(self) -> None:
        self._ticks: deque[HeldTick] = deque()
        self._outgrown: int | None = None  # event time of the latest one that had to go, ms

    def add(self, held: HeldTick) -> int:
        """How many had to go for it."""
        ticks = self._ticks
        ticks.append(held)
        before = len(ticks)
        oldest = held.tick.received_ns - LONGEST_NS
        while len(ticks) > MOST or ticks[0].tick.received_ns < oldest:
            self._outgrown = ticks.popleft().tick.event_time
        return before - len(ticks)

    def put_back(self, tick: Tick) -> None:
        """It was on its way and did not leave: it comes before all others."""
        self._ticks.appendleft(HeldTick(tick))

    def go_on(self, mark: int | None, own: int | None) -> list[HeldTick]:
        """What is to be published now, and nothing is held any more.

        ``mark``: event time of the latest update on Kafka, if known. ``own``: that of the latest one that this process
        handed over, all that is held came after it. IB may give two updates the same time: the mark of somebody else
        does not say which of them it is, so none of its time is published.
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
        """Nothing came before the oldest."""
        if self._ticks:
            self._ticks[0] = HeldTick(self._ticks[0].tick)


def _later(one: int | None, other: int | None) -> int | None:
    return max((time for time in (one, other) if time is not None), default=None)
