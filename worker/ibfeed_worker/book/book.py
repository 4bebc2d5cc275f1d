"""One contract's order book: the ladder as IB sent it, and the part of it that has been published."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

import msgspec

from ibfeed_api.records import DepthRecord, Number
from ibfeed_worker.book.row import Level, Row, Rows

_Side = dict[Decimal, Level]
_Changes = dict[Decimal, tuple[Number, Number]]
_GONE: Final[Number] = msgspec.Raw(b"0")
CROSSED: Final = "crossed"
INCOMPLETE: Final = "incomplete"


@dataclass(frozen=True, slots=True)
class _Sides:
    """The two sides of the book, by price."""

    bids: _Side
    asks: _Side
    flags: tuple[str, ...]


class Book:
    """The order book of one contract. It turns a ladder's rows into records: a snapshot first, then deltas.

    Two things are kept apart. The ladder lasts as long as its subscription. The consumers' knowledge of it lasts as
    long as this worker may publish the contract.
    """

    def __init__(self, conid: int, symbol: str) -> None:
        self.conid: Final = conid
        self.symbol: Final = symbol
        self._rows: dict[int, Row] = {}  # in the order of arrival
        self._known = False
        self._unplaced = False
        self._time = 0
        self._published: _Sides | None = None
        self._cleared = False  # consumers have been told that nothing is known

    @property
    def known(self) -> bool:
        """Whether the subscription has brought rows."""
        return self._known

    def restart(self) -> None:
        """Drop the rows, since a subscription begins or has ended. ``clear`` tells consumers."""
        self._rows = {}
        self._known = self._unplaced = False

    def reset(self) -> None:
        """Forget what consumers know, since another publisher told them.

        The next record tells them everything again.
        """
        self._published = None
        self._cleared = False

    def note(self, found: Rows) -> None:
        """Merge a frame's rows. Of two rows with one price the later one counts."""
        self._unplaced = self._unplaced or found.unplaced > 0
        for row in found.rows:
            self._rows.pop(row.row, None)
            self._rows[row.row] = row
            self._known = True

    def apply(self, found: Rows, *, event_time: int, seq: int) -> DepthRecord | None:
        """Merge a frame's rows; return the record that consumers need now, if any.

        ``event_time`` is in ms since 1970.
        """
        self.note(found)
        if not self._known:
            return None
        before = self._published
        if before is None:
            return self.whole(event_time=event_time, seq=seq)
        now = self._sides()
        bids, asks = _changes(before.bids, now.bids), _changes(before.asks, now.asks)
        if not bids and not asks and now.flags == before.flags:
            return None
        self._published = now
        return self._record("delta", event_time, seq, now.flags, bids, asks)

    def whole(self, *, event_time: int, seq: int) -> DepthRecord:
        """Return all that is known: a snapshot, or a clear if nothing is known."""
        self._published = now = self._sides() if self._known else None
        self._cleared = now is None
        if now is None:
            return self._record("clear", event_time, seq)
        return self._record("snapshot", event_time, seq, now.flags, _digits(now.bids), _digits(now.asks))

    def clear(self, *, event_time: int, seq: int, flags: tuple[str, ...] = ()) -> DepthRecord | None:
        """Return the record that tells consumers that nothing is known any more; None if they know it already."""
        if self._cleared:
            return None
        self._published = None
        self._cleared = True
        return self._record("clear", event_time, seq, flags)

    def _record(
        self,
        kind: Literal["snapshot", "delta", "clear"],
        event_time: int,
        seq: int,
        flags: tuple[str, ...] = (),
        bids: _Changes | None = None,
        asks: _Changes | None = None,
    ) -> DepthRecord:
        # A clear has our time and a change may have IB's. Consumers must see no time that goes back.
        self._time = max(self._time, event_time)
        return DepthRecord(
            self.symbol,
            self.conid,
            self._time,
            kind,
            _listed(bids or {}, highest_first=True),
            _listed(asks or {}, highest_first=False),
            seq,
            list(flags),
        )

    def _sides(self) -> _Sides:
        rows = self._rows.values()
        bids = {row.bid.price: row.bid for row in rows if row.bid is not None}
        asks = {row.ask.price: row.ask for row in rows if row.ask is not None}
        flags = []
        if bids and asks and max(bids) >= min(asks):
            flags.append(CROSSED)
        if self._unplaced or not all(row.readable for row in rows):
            flags.append(INCOMPLETE)
        return _Sides(bids, asks, tuple(flags))


def _digits(side: _Side) -> _Changes:
    return {price: level.digits for price, level in side.items()}


def _changes(before: _Side, now: _Side) -> _Changes:
    """Return the levels that are new or have another size, and those that have gone, with size 0."""
    gone = {price: (level.digits[0], _GONE) for price, level in before.items() if price not in now}
    set_ = {
        price: level.digits
        for price, level in now.items()
        if (former := before.get(price)) is None or former.size != level.size
    }
    return gone | set_


def _listed(changes: _Changes, *, highest_first: bool) -> list[tuple[Number, Number]]:
    return [changes[price] for price in sorted(changes, reverse=highest_first)]
