"""Order books, rebuilt from snapshots and deltas."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ibfeed.events import Book, BookChange, Contract, ExactLevel, Level


class _Side:
    """One side of a book. Prices are compared as decimals, so that no two of them fall together."""

    def __init__(self, *, descending: bool) -> None:
        self._descending = descending
        self._levels: dict[Decimal, tuple[Level, ExactLevel]] = {}

    def clear(self) -> None:
        self._levels.clear()

    def update(self, changes: Iterable[tuple[Decimal, Decimal]]) -> None:
        """Set the levels that changed. A size of 0 removes one."""
        for price, size in changes:
            if size:
                self._levels[price] = Level(float(price), float(size)), ExactLevel(price, size)
            else:
                self._levels.pop(price, None)

    def levels(self) -> tuple[tuple[Level, ...], tuple[ExactLevel, ...]]:
        """Return the levels best first, as floats and with IB's digits."""
        found = [self._levels[price] for price in sorted(self._levels, reverse=self._descending)]
        return tuple(level for level, _ in found), tuple(exact for _, exact in found)


class BookBuilder:
    """The order book of one contract."""

    def __init__(self) -> None:
        self.known = False
        self._bids = _Side(descending=True)
        self._asks = _Side(descending=False)

    def apply(self, change: BookChange, *, contiguous: bool, contract: Contract | None) -> Book | None:
        """Return the book after a change; None if the change is of a book that is not known.

        Args:
            change: the record.
            contiguous: whether no record is missing right before this one.
            contract: the contract's reference data, for the result.
        """
        if change.kind == "delta":
            if not self.known:
                return None
            if not contiguous:
                self._forget()
                return self._book(change, "lost", contract)
        else:
            self._forget()
            self.known = change.kind == "snapshot"
        self._bids.update(change.bids)
        self._asks.update(change.asks)
        return self._book(change, change.kind, contract)

    def _forget(self) -> None:
        self.known = False
        self._bids.clear()
        self._asks.clear()

    def _book(self, change: BookChange, reason: str, contract: Contract | None) -> Book:
        bids, exact_bids = self._bids.levels()
        asks, exact_asks = self._asks.levels()
        return Book(
            symbol=change.symbol,
            conid=change.conid,
            event_time=change.event_time,
            seq=change.seq,
            known=self.known,
            reason=reason,
            bids=bids,
            asks=asks,
            exact_bids=exact_bids,
            exact_asks=exact_asks,
            flags=change.flags,
            contract=contract,
            source=change.source,
        )


class OrderBooks:
    """The order books of all instruments, each kept by one call for each of its changes.

    ::

        books = ibfeed.OrderBooks()
        book = books.update(change)
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], tuple[BookBuilder, int]] = {}

    def update(self, change: BookChange) -> Book | None:
        """Return the whole book after a change.

        None if there is nothing new to tell: the change came before, or it is of a book that is not known.
        """
        key = (change.source, change.conid)
        builder, seq = self._kept.get(key) or (BookBuilder(), -1)
        if change.seq <= seq:
            return None
        self._kept[key] = builder, change.seq
        return builder.apply(change, contiguous=change.seq == seq + 1, contract=None)
