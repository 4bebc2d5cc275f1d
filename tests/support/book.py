"""Order books as a consumer rebuilds them from ``l2-data``, and as IB's rows give them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Side = dict[Decimal, Decimal]


@dataclass(frozen=True)
class Sides:
    bids: Side
    asks: Side

    @property
    def crossed(self) -> bool:
        return bool(self.bids and self.asks) and max(self.bids) >= min(self.asks)


@dataclass
class Reader:
    """A consumer of one contract's records, as ``schemas/l2-data-1.json`` describes it.

    It fails if the records break a rule. ``book`` is None while nothing is known.
    """

    book: Sides | None = None
    seq: int = -1
    event_time: int = 0
    kinds: list[str] = field(default_factory=list)

    def take(self, value: dict[str, Any]) -> None:
        kind, seq = value["kind"], value["seq"]
        assert seq > self.seq, "seq grows strictly"
        assert value["event_time"] >= self.event_time, "time never goes back"
        for name, reverse in (("bids", True), ("asks", False)):
            prices = [price for price, _ in value[name]]
            assert prices == sorted(set(prices), reverse=reverse), "best first, each price once"
        if kind == "clear":
            assert not value["bids"]
            assert not value["asks"]
            self.book = None
        elif kind == "snapshot":
            self.book = Sides(_applied({}, value["bids"]), _applied({}, value["asks"]))
            assert all(size for side in (value["bids"], value["asks"]) for _, size in side)
        elif self.book is not None and seq == self.seq + 1:
            self.book = Sides(_applied(self.book.bids, value["bids"]), _applied(self.book.asks, value["asks"]))
        else:
            raise AssertionError(f"a delta of a book that is not known: {value} after {self.seq}")
        if self.book is not None:
            assert ("crossed" in value["flags"]) == self.book.crossed
        self.seq, self.event_time = seq, value["event_time"]
        self.kinds.append(kind)


def _applied(side: Side, changes: list[list[Any]]) -> Side:
    """Apply changes to levels, as exact numbers. A size of 0 removes a level, which must be there."""
    found = dict(side)
    for price, size in changes:
        if size:
            found[Decimal(price)] = Decimal(size)
        else:
            del found[Decimal(price)]
    return found


@dataclass
class Ladder:
    """The rows of one ladder subscription, as the venue sent them."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)

    def take(self, frame: dict[str, Any]) -> None:
        self.rows |= {row["row"]: row for row in frame["data"]}

    @property
    def sides(self) -> Sides:
        return Sides(self._side("bid"), self._side("ask"))

    def _side(self, name: str) -> Side:
        rows = [row for row in self.rows.values() if name in row]
        return {_number(row["price"].split("@")[-1]): _number(row[name]) for row in rows}


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", "").strip())
