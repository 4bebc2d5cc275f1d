"""An order book as a normaliser keeps it, to check it and to say what changed."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Literal

from ibfeed.events import BookChange, instrument_id

Kind = Literal["snapshot", "delta", "clear"]
Levels = dict[Decimal, Decimal]  # price -> size

_SNAPSHOT_MS: Final = 60_000  # a client that starts in the middle knows the book within this time


class KeptBook:
    """The book of one instrument, cut to the depth of its subscription.

    A message is merged and then confirmed, or the book is cleared.

    Args:
        symbol: the venue's.
        source: the venue.
        depth: levels of each side that the venue keeps up to date.
        seq: the number before the first one. Take it from the clock, so that numbers grow over processes, too.
    """

    def __init__(self, symbol: str, source: str, depth: int, seq: int) -> None:
        self.known = False
        self.event_time = 0  # of the last change that was confirmed
        self.lost_because = ""  # empty: it was never lost
        self._symbol: Final = symbol
        self._source: Final = source
        self._depth: Final = depth
        self._seq = seq
        self._snapshot_at = 0
        self._bids: Levels = {}
        self._asks: Levels = {}
        self._changed: tuple[Levels, Levels] = {}, {}

    def begin_snapshot(self) -> None:
        """Forget all levels, since a message with the whole book follows."""
        self._bids, self._asks, self._snapshot_at = {}, {}, 0

    def merge(self, bids: Iterable[tuple[Decimal, Decimal]], asks: Iterable[tuple[Decimal, Decimal]]) -> None:
        """Set the levels of a message. A size of 0 removes one, and levels beyond the depth are dropped."""
        changed_bids, changed_asks = dict(bids), dict(asks)
        for side, changed, descending in ((self._bids, changed_bids, True), (self._asks, changed_asks, False)):
            side.update(changed)
            for price in [price for price, size in side.items() if not size]:
                del side[price]
            for price in sorted(side, reverse=descending)[self._depth :]:
                del side[price]
                changed[price] = Decimal(0)  # the venue does not say so
        self._changed = changed_bids, changed_asks

    def best(self, count: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """Return the best bids and the best asks."""
        return _sorted(self._bids, True)[:count], _sorted(self._asks, False)[:count]

    def confirm(self, at_ms: int) -> BookChange:
        """Return what the last merge changed: at first, and once a minute, as the whole book."""
        whole = not self.known or at_ms - self._snapshot_at >= _SNAPSHOT_MS
        if whole:
            self._snapshot_at = at_ms
        self.known, self.event_time, self.lost_because = True, at_ms, ""
        bids, asks = (self._bids, self._asks) if whole else self._changed
        return self._change("snapshot" if whole else "delta", at_ms, bids, asks)

    def clear(self, at_ms: int, reason: str) -> BookChange:
        """Return that the book is not known any more."""
        self.known, self.lost_because = False, reason
        return self._change("clear", at_ms, {}, {})

    def _change(
        self, kind: Literal["snapshot", "delta", "clear"], at_ms: int, bids: Levels, asks: Levels
    ) -> BookChange:
        self._seq += 1
        return BookChange(
            symbol=self._symbol,
            conid=instrument_id(self._source, self._symbol),
            event_time=at_ms,
            kind=kind,
            bids=tuple(_sorted(bids, True)),
            asks=tuple(_sorted(asks, False)),
            seq=self._seq,
            flags=(),
            source=self._source,
        )


def _sorted(levels: Levels, descending: bool) -> list[tuple[Decimal, Decimal]]:
    """Return levels, the best first."""
    return sorted(levels.items(), reverse=descending)
