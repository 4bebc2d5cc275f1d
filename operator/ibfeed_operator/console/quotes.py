"""The latest quote, rate and sparkline of each contract, as the page shows them. Pure: the caller has the clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ibfeed_operator.console.ticks import Summary, TickValue

SAMPLE_MS: Final = 2000  # between two points of a sparkline
SAMPLES: Final = 60  # of a sparkline: two minutes
_RATE_S: Final = 5.0  # time constant of a rate
_LATE_MS: Final = 3000
_REST: Final = 0.05  # updates a second, below which a contract counts as at rest

QuoteKey = tuple[str, str, int]  # Kafka's servers, topic, conid


class QuoteRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The changes of a contract. ``rate`` is in updates a second."""

    conid: int
    price: msgspec.Raw
    bid: msgspec.Raw
    ask: msgspec.Raw
    volume: msgspec.Raw
    event_ms: int
    rate: float


@dataclass(slots=True)
class _Quote:
    tick: TickValue
    count: int = 0  # since the last look
    moved: bool = True  # there was a tick since the last look
    rate: float = 0.0
    shown: float = -1.0  # the rate as the page has it
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))


class QuoteBoard:
    """The quotes of all contracts that are read."""

    def __init__(self) -> None:
        self._quotes: Final[dict[QuoteKey, _Quote]] = {}
        self._changed: dict[QuoteKey, QuoteRow] = {}
        self._looked_ms = 0
        self._sampled_ms = 0
        self.newest_ms = 0  # the latest record's timestamp on Kafka

    def merge(self, servers: str, summary: Summary) -> None:
        """Take in what was read from one Kafka. Records of the start's backlog count for no rate."""
        late = summary.newest_ms < self._looked_ms - _LATE_MS
        for (topic, conid), (tick, count) in summary.latest.items():
            quote = self._quotes.get((servers, topic, conid))
            if quote is None:
                quote = self._quotes[servers, topic, conid] = _Quote(_own(tick))
            # A handover's overlap and the start's backlog may bring an older record after a newer one.
            if tick.event_time >= quote.tick.event_time:
                quote.tick = _own(tick)
            quote.moved = True
            quote.count += 0 if late else count
        self.newest_ms = max(self.newest_ms, summary.newest_ms)

    def look(self, now_ms: int) -> None:
        """Find what has changed since the last look, for ``changed``."""
        seconds = max(0.001, (now_ms - self._looked_ms) / 1000) if self._looked_ms else 1.0
        self._looked_ms = now_ms
        kept = math.exp(-seconds / _RATE_S)
        sample = now_ms - self._sampled_ms >= SAMPLE_MS
        if sample:
            self._sampled_ms = now_ms
        changed: dict[QuoteKey, QuoteRow] = {}
        for key, quote in self._quotes.items():
            quote.rate = quote.rate * kept + quote.count / seconds * (1 - kept)
            rate = round(quote.rate, 1) if quote.rate >= _REST else 0.0
            if quote.moved or rate != quote.shown:
                changed[key] = _row(quote, rate)
                quote.shown, quote.count, quote.moved = rate, 0, False
            if sample:
                quote.samples.append(float(quote.tick.price))
        self._changed = changed

    def changed(self, servers: str, topic: str, conids: Iterable[int]) -> list[QuoteRow]:
        """Return the rows of ``conids`` that changed between the last two looks."""
        if not self._changed:
            return []
        return [row for conid in conids if (row := self._changed.get((servers, topic, conid))) is not None]

    def rows(self, servers: str, topic: str, conids: Iterable[int]) -> list[QuoteRow]:
        """Return the rows of all ``conids`` that have a tick."""
        quotes = ((conid, self._quotes.get((servers, topic, conid))) for conid in conids)
        return [_row(quote, max(0.0, quote.shown)) for _, quote in quotes if quote is not None]

    def sparklines(self, servers: str, topic: str, conids: Iterable[int]) -> dict[int, list[float]]:
        """Return the samples of each of ``conids``, the latest last."""
        quotes = ((conid, self._quotes.get((servers, topic, conid))) for conid in conids)
        return {conid: list(quote.samples) for conid, quote in quotes if quote is not None}

    def clear(self) -> None:
        """Forget everything: nothing is read any more."""
        self._quotes.clear()
        self._changed = {}
        self.newest_ms = self._looked_ms = self._sampled_ms = 0


def _row(quote: _Quote, rate: float) -> QuoteRow:
    tick = quote.tick
    return QuoteRow(tick.conid, tick.price, tick.bid, tick.ask, tick.volume, tick.event_time, rate)


def _own(tick: TickValue) -> TickValue:
    """Return the tick with copies of its numbers, which are views of a whole record until then."""
    return TickValue(
        tick.conid,
        tick.price.copy(),
        tick.event_time,
        tick.bid.copy(),
        tick.ask.copy(),
        tick.volume.copy(),
    )
