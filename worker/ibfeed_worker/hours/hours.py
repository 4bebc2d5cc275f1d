"""A contract's trading hours over some days. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """A time of trading, from ``opening`` to before ``closing``, in seconds since 1970."""

    opening: float
    closing: float


@dataclass(frozen=True, slots=True)
class Hours:
    """A contract's spans in order, none touching the next. Before the first and after the last nothing is known."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Hours:
        """Build from spans in any order, which may overlap or adjoin."""
        merged: list[Span] = []
        for span in sorted(spans):
            if merged and span.opening <= merged[-1].closing:
                merged[-1] = Span(merged[-1].opening, max(merged[-1].closing, span.closing))
            else:
                merged.append(span)
        return cls(tuple(merged))

    def open_since(self, now: float) -> float | None:
        """Return when the trading began that goes on at ``now``; None if it is closed, or not known."""
        place = bisect_right(self.spans, now, key=lambda span: span.opening) - 1
        return self.spans[place].opening if place >= 0 and now < self.spans[place].closing else None

    def knows(self, now: float) -> bool:
        """Whether ``now`` lies between the first opening and the last closing."""
        return bool(self.spans) and self.spans[0].opening <= now < self.spans[-1].closing
