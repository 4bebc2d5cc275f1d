"""What moves a contract's quotes: a seeded walk, or a replay of recorded data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

# At most two updates a second and contract: IB's watch-list data is a 500 ms conflation.
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
    """Quotes of one contract over time; times are seconds since 1970 by the venue's clock."""

    def full(self) -> Changes:
        """Every field; asked for once, ``advance`` tells the rest."""

    def advance(self, now: float) -> Changes:
        """What changed since the last call; at most the latest value of each field."""

    def due(self) -> float:
        """When ``advance`` may next have something to say."""

    def new_day(self) -> None:
        """The session opens: today's last price becomes the previous close, nothing has traded yet."""

    def last(self) -> str:
        """The last price without a mark."""

    def ladder(self) -> Ladder:
        """The order book, best levels in the middle, highest price first; always the same number of rows."""
