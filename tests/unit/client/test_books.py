"""A book that is rebuilt from records is the book that a worker saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ibfeed
from ibfeed.stream import EventStream, Topics, Wanted
from ibfeed_api.records import seq_of
from support.queue_events import book_change
from support.reader_records import EPOCH, FakeMessage, Kind, change

Side = dict[Decimal, Decimal]
PRICES = [Decimal(text) for text in ("-0.50", "0.00", "0.5", "1.00", "1.0000000000000000001", "7", "7.25")]


def books(*messages: FakeMessage) -> tuple[list[ibfeed.Book], EventStream]:
    stream = EventStream(Topics(), Wanted("energy"), skip_unreadable=False)
    found = list(stream.events(messages))
    return [event for event in found if isinstance(event, ibfeed.Book)], stream


def test_book_is_whole_after_each_change_and_best_first() -> None:
    found, _ = books(
        change("snapshot", 1, bids=[("5190.25", "41"), ("5190.00", "77")], asks=[("5190.50", "38"), ("5190.75", "64")]),
        change("delta", 2, bids=[("5190.00", "0"), ("5189.75", "3")], asks=[("5190.50", "40")], flags=["crossed"]),
    )
    assert [book.reason for book in found] == ["snapshot", "delta"]
    last = found[-1]
    assert last.bids == ((5190.25, 41.0), (5189.75, 3.0))
    assert [(str(price), str(size)) for price, size in last.exact_asks] == [("5190.50", "40"), ("5190.75", "64")]
    assert last.asks[0] == ibfeed.Level(5190.5, 40.0)
    assert (last.known, last.flags) == (True, ("crossed",))


def test_change_of_an_unknown_book_is_held_back() -> None:
    found, stream = books(
        change("delta", 1, bids=[("1", "1")]),
        change("clear", 2, flags=["stale"]),
        change("delta", 3, bids=[("1", "1")]),
    )
    assert [(book.reason, book.known, book.bids, book.flags) for book in found] == [("clear", False, (), ("stale",))]
    assert stream.counters.held_back == 2


def test_book_is_unknown_after_a_lost_change() -> None:
    found, stream = books(
        change("snapshot", 1, bids=[("1", "1")]),
        change("delta", 3, bids=[("2", "1")]),
        change("delta", 4, bids=[("2", "2")]),
        change("snapshot", 9, bids=[("3", "1")]),
    )
    assert [(book.reason, book.known, book.bids) for book in found] == [
        ("snapshot", True, ((1, 1),)),
        ("lost", False, ()),
        ("snapshot", True, ((3, 1),)),
    ]
    assert (stream.counters.held_back, stream.counters.holes) == (1, 2)


@pytest.mark.parametrize("late", [change("delta", 2, bids=[("9", "9")]), change("clear", 2), change("snapshot", 2)])
def test_late_record_of_an_old_worker_does_not_touch_the_book(late: FakeMessage) -> None:
    found, stream = books(
        change("snapshot", 1, bids=[("1", "1")]),
        change("snapshot", 1, epoch=EPOCH + 5, bids=[("2", "1")]),
        late,
        change("delta", 2, epoch=EPOCH + 5, bids=[("3", "1")]),
    )
    assert found[-1].bids == ((3, 1), (2, 1))
    assert stream.counters.stale == 1


@dataclass
class Series:
    """Records of one book, and the books that a reader should return: reason, bids, asks; None: not known."""

    records: list[FakeMessage] = field(default_factory=list)
    expected: list[tuple[str, int, Side | None, Side | None]] = field(default_factory=list)


def levels(draw: st.DrawFn) -> Side:
    sizes = st.integers(1, 99).map(Decimal)
    return draw(st.dictionaries(st.sampled_from(PRICES), sizes, max_size=len(PRICES)))


def difference(before: Side, after: Side) -> Side:
    changed = {price: size for price, size in after.items() if before.get(price) != size}
    return {**changed, **{price: Decimal(0) for price in before if price not in after}}


def text(side: Side, *, descending: bool) -> list[tuple[str, str]]:
    return [(str(price), str(side[price])) for price in sorted(side, reverse=descending)]


@st.composite
def series(draw: st.DrawFn) -> Series:
    """A worker's book over its life: the worker changes, records are lost, and are sent twice."""
    found = Series()
    bids, asks = dict[Decimal, Decimal](), dict[Decimal, Decimal]()
    written = known = False  # whether the worker has written the book, and whether the reader has it
    epoch, count = EPOCH, 0
    for _ in range(draw(st.integers(1, 30))):
        what = draw(st.sampled_from(["delta", "delta", "delta", "snapshot", "clear", "move", "lost", "again"]))
        if what == "again" and found.records:
            found.records.append(found.records[-1])
            continue
        if what == "move":
            epoch, count, written = epoch + draw(st.integers(1, 9)), 0, False
        kind: Kind = "clear" if what == "clear" else "delta" if written and what in ("delta", "lost") else "snapshot"
        after = ({}, {}) if kind == "clear" else (levels(draw), levels(draw))
        shown = (difference(bids, after[0]), difference(asks, after[1])) if kind == "delta" else after
        bids, asks = after
        count += 1
        written = kind != "clear"
        if what == "lost":
            known = False
            continue
        sides = {"bids": text(shown[0], descending=True), "asks": text(shown[1], descending=False)}
        found.records.append(change(kind, count, epoch=epoch, bids=sides["bids"], asks=sides["asks"]))
        known = _expect(found, kind, seq_of(epoch, count), known, bids, asks)
    return found


def _expect(found: Series, kind: Kind, seq: int, known: bool, bids: Side, asks: Side) -> bool:
    if kind == "delta" and not known:
        shown = bool(found.expected) and found.expected[-1][2] is not None
        if shown:  # the reader learns by this record that it missed one
            found.expected.append(("lost", seq, None, None))
        return False
    known = kind != "clear"
    found.expected.append((kind, seq, bids if known else None, asks if known else None))
    return known


@given(series())
def test_any_legal_series_gives_the_worker_s_books(of: Series) -> None:
    found, _ = books(*of.records)
    assert [(book.reason, book.seq, book.known) for book in found] == [
        (reason, seq, bids is not None) for reason, seq, bids, _ in of.expected
    ]
    for book, (_, _, bids, asks) in zip(found, of.expected, strict=True):
        assert list(book.exact_bids) == sorted((bids or {}).items(), reverse=True)
        assert list(book.exact_asks) == sorted((asks or {}).items())
        assert [level.price for level in book.bids] == [float(price) for price, _ in book.exact_bids]


def test_books_of_sources_and_contracts_are_kept_apart() -> None:
    kept = ibfeed.OrderBooks()
    first = kept.update(book_change("snapshot", 5))
    other = kept.update(msgspec.structs.replace(book_change("delta", 6), source="other"))
    second = kept.update(book_change("delta", 6))
    assert first is not None
    assert other is None  # its book is not known
    assert second is not None
    assert [level.price for level in second.bids] == [76.0, 75.0]
    assert second.source == "kraken"


def test_change_that_came_before_changes_nothing() -> None:
    kept = ibfeed.OrderBooks()
    kept.update(book_change("snapshot", 5))
    assert kept.update(book_change("snapshot", 5)) is None
    assert kept.update(book_change("delta", 4)) is None


def test_hole_makes_the_book_unknown() -> None:
    kept = ibfeed.OrderBooks()
    kept.update(book_change("snapshot", 5))
    lost = kept.update(book_change("delta", 7))
    assert lost is not None
    assert (lost.known, lost.reason, lost.bids) == (False, "lost", ())
    assert kept.update(book_change("delta", 8)) is None
