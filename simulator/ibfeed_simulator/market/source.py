"""Sources of a contract's quotes: a seeded walk, or a replay of recorded data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

# At most two updates a second for a contract, as IB's watch-list data is a 500 ms conflation.
CONFLATION: Final = 0.5

Value = str | float
Changes = dict[str, Value]
"""IB field id -> value in IB's own form."""


@dataclass(frozen=True)
class Level:
    """One row of a price ladder. ``price`` is ``size @ price`` where the last trade was (``focus``)."""

    price: str
    bid: str | None = None
    ask: str | None = None
    focus: bool = False


Ladder = tuple[Level, ...]


class Source(Protocol):
    """The quotes of one contract over time. Times are seconds since 1970 by the venue's clock."""

    def full(self) -> Changes:
        """Return every field. It is called once; ``advance`` gives the changes after it."""

    def advance(self, now: float) -> Changes:
        """Return the changes since the last call, at most the latest value of each field."""

    def due(self) -> float:
        """Return the time at which ``advance`` may next give changes."""

    def new_day(self) -> None:
        """Open a session: the last price becomes the previous close, and nothing has traded yet."""

    def last(self) -> str:
        """Return the last price without a mark."""

    def ladder(self) -> Ladder:
        """Return the order book, highest price first, best levels in the middle. The number of rows never changes."""
