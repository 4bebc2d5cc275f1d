"""From rows to records: whoever applies the records has the book that the rows say."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from jsonschema import Draft202012Validator

from ibfeed_api.records import DepthRecord
from ibfeed_worker.book import Book, Rows, rows_of
from support.book import Reader, Sides

SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).resolve().parents[4] / "schemas" / "l2-data-1.json").read_text())
)


def rows(*found: dict[str, Any]) -> Rows:
    return rows_of(json.dumps(found).encode())


def bid(row: int, price: str, size: str) -> dict[str, Any]:
    return {"row": row, "focus": 0, "price": price, "bid": size}


def ask(row: int, price: str, size: str) -> dict[str, Any]:
    return {"row": row, "focus": 0, "price": price, "ask": size}


def written(record: DepthRecord | None) -> str:
    """Kind, levels and flags as they are written."""
    assert record is not None
    text = msgspec.json.encode(record).decode()
    return text[text.index('"kind"') : text.index(',"seq"')] + text[text.index(',"flags"') : -1]


LADDER = rows(
    ask(0, "5,190.50", "38"), ask(1, "5,190.25", "64"), bid(2, "3 @ 5190.00", "1,041"), bid(3, "5189.75", "7")
)


def test_golden_records() -> None:
    book = Book(495512563, "ESZ6")
    assert written(book.apply(LADDER, event_time=5, seq=1)) == (
        '"kind":"snapshot","bids":[[5190.00,1041],[5189.75,7]],"asks":[[5190.25,64],[5190.50,38]],"flags":[]'
    )
    assert book.apply(LADDER, event_time=6, seq=2) is None
    changed = rows({"row": 1, "price": "5190.25"}, bid(2, "5190.00", "1,040"))
    assert written(book.apply(changed, event_time=7, seq=2)) == (
        '"kind":"delta","bids":[[5190.00,1040]],"asks":[[5190.25,0]],"flags":[]'
    )
    assert written(book.clear(event_time=8, seq=3, flags=("stale",))) == (
        '"kind":"clear","bids":[],"asks":[],"flags":["stale"]'
    )
    assert book.clear(event_time=9, seq=4) is None


def test_the_market_moves_a_tick_and_every_row_has_another_price() -> None:
    book = Book(1, "ESZ6")
    book.apply(
        rows(ask(0, "103", "1"), ask(1, "102", "2"), bid(2, "101", "3"), bid(3, "100", "4")), event_time=1, seq=1
    )
    moved = rows(ask(0, "104", "9"), ask(1, "103", "1"), bid(2, "102", "5"), bid(3, "101", "3"))
    assert written(book.apply(moved, event_time=2, seq=2)) == (
        '"kind":"delta","bids":[[102,5],[100,0]],"asks":[[102,0],[104,9]],"flags":[]'
    )


def test_a_crossed_book_is_flagged_until_it_is_none() -> None:
    book = Book(1, "ESZ6")
    assert written(book.apply(rows(ask(0, "101", "1"), bid(1, "101", "2")), event_time=1, seq=1)).endswith(
        '["crossed"]'
    )
    assert written(book.apply(rows(bid(1, "102", "2")), event_time=2, seq=2)).endswith('["crossed"]')
    assert written(book.apply(rows(bid(1, "100", "2")), event_time=3, seq=3)).endswith('"flags":[]')


def test_an_unreadable_row_leaves_no_level_and_a_flag() -> None:
    book = Book(1, "ESZ6")
    book.apply(LADDER, event_time=1, seq=1)
    assert written(book.apply(rows(bid(3, "?", "7")), event_time=2, seq=2)) == (
        '"kind":"delta","bids":[[5189.75,0]],"asks":[],"flags":["incomplete"]'
    )
    assert written(book.apply(rows(bid(3, "5189.75", "8")), event_time=3, seq=3)) == (
        '"kind":"delta","bids":[[5189.75,8]],"asks":[],"flags":[]'
    )


def test_what_cannot_be_placed_puts_the_whole_ladder_in_doubt_until_the_next_subscription() -> None:
    book = Book(1, "ESZ6")
    book.apply(LADDER, event_time=1, seq=1)
    assert written(book.apply(Rows((), 1), event_time=2, seq=2)).endswith('["incomplete"]')
    book.restart()
    assert written(book.whole(event_time=3, seq=3)).startswith('"kind":"clear"')
    assert written(book.apply(LADDER, event_time=4, seq=4)).endswith('"flags":[]')


def test_a_frame_without_rows_is_no_snapshot() -> None:
    book = Book(1, "ESZ6")
    assert book.apply(Rows((), 0), event_time=1, seq=1) is None
    assert book.apply(Rows((), 1), event_time=1, seq=1) is None
    assert not book.known


def test_an_empty_ladder_is_known_to_be_empty() -> None:
    record = Book(1, "ESZ6").apply(rows({"row": 0, "price": ""}), event_time=1, seq=1)
    assert written(record) == '"kind":"snapshot","bids":[],"asks":[],"flags":[]'


def test_a_new_epoch_begins_with_all_that_is_known() -> None:
    book = Book(1, "ESZ6")
    book.apply(LADDER, event_time=1, seq=1)
    book.reset()
    book.note(rows(bid(3, "5189.75", "9")))
    assert written(book.apply(Rows((), 0), event_time=2, seq=2)).startswith(
        '"kind":"snapshot","bids":[[5190.00,1041],[5189.75,9]]'
    )


def test_time_never_goes_back() -> None:
    book = Book(1, "ESZ6")
    book.apply(LADDER, event_time=10, seq=1)
    record = book.clear(event_time=5, seq=2)
    assert record is not None
    assert record.event_time == 10


def test_digits_are_ibs_and_equal_numbers_are_no_change() -> None:
    book = Book(1, "CLZ6")
    assert '"bids":[[71.90,12]]' in written(book.apply(rows(bid(0, "71.90", "12")), event_time=1, seq=1))
    assert book.apply(rows(bid(0, "4 @ 71.9", "12")), event_time=2, seq=2) is None


prices = st.sampled_from(["99", "99.50", "100", "1 @ 100.00", "100.5", "12 @ 1,000.25", "1,000.25", "-37.63"])
sizes = st.sampled_from(["1", "2", "30", "1,200", "0", ""])


@st.composite
def frames(draw: st.DrawFn) -> list[dict[str, Any]]:
    frame = []
    for row in draw(st.lists(st.integers(0, 7), max_size=8)):
        said: dict[str, Any] = {"row": row, "focus": draw(st.integers(0, 1)), "price": draw(prices)}
        for side in draw(st.sampled_from([("bid",), ("ask",), (), ("bid", "ask")])):
            said[side] = draw(sizes)
        if draw(st.integers(0, 15)) == 0:
            said["price"] = "?"
        frame.append(said)
    return frame


class Books(RuleBasedStateMachine):
    """A ladder that comes and goes, a book that may be ours or not, and a reader of what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book(1, "ESZ6")
        self.reader = Reader()
        self.rows: dict[int, tuple[int, dict[str, Any]]] = {}
        self.clock = 0
        self.seq = 0
        self.ours = False
        self.told = True  # readers know as much as we do

    def publish(self, record: DepthRecord | None) -> None:
        if record is None:
            return
        value = json.loads(msgspec.json.encode(record), parse_float=Decimal)
        SCHEMA.validate(json.loads(msgspec.json.encode(record)))
        self.reader.take(value)
        readable = all(row["price"] != "?" for _, row in self.rows.values())
        if record.kind != "clear":
            assert ("incomplete" in record.flags) != readable
        self.seq += 1

    def side(self, name: str) -> dict[Decimal, Decimal]:
        """Of rows with the same price the latest counts."""
        found = {}
        for _, row in sorted(self.rows.values(), key=lambda item: item[0]):
            price = row["price"].split("@")[-1].replace(",", "").strip()
            if row.get(name, "") not in ("", "0") and price != "?":
                found[Decimal(price)] = Decimal(row[name].replace(",", ""))
        return found

    @rule(frame=frames())
    def rows_come(self, frame: list[dict[str, Any]]) -> None:
        for row in frame:
            self.clock += 1
            self.rows[row["row"]] = (self.clock, row)
        found = rows_of(json.dumps(frame).encode())
        if self.ours:
            self.publish(self.book.apply(found, event_time=self.clock, seq=self.seq))
            self.told = True
        else:
            self.book.note(found)

    @rule()
    def reconnected(self) -> None:
        self.rows = {}
        self.book.restart()
        if self.ours:
            self.publish(self.book.clear(event_time=self.clock, seq=self.seq))
            self.told = True

    @precondition(lambda self: self.ours)
    @rule()
    def a_record_was_lost(self) -> None:
        """The next one is whole; until then the reader waits."""
        self.seq += 1
        self.book.reset()
        self.told = False

    @precondition(lambda self: self.ours)
    @rule()
    def no_room(self) -> None:
        self.seq += 1
        self.publish(self.book.whole(event_time=self.clock, seq=self.seq))
        self.told = True

    @precondition(lambda self: self.ours)
    @rule()
    def stopped(self) -> None:
        self.publish(self.book.clear(event_time=self.clock, seq=self.seq))
        self.ours = False

    @precondition(lambda self: not self.ours)
    @rule()
    def begun(self) -> None:
        self.book.reset()
        self.publish(self.book.whole(event_time=self.clock, seq=self.seq))
        self.ours = self.told = True

    @invariant()
    def the_reader_has_the_book(self) -> None:
        if not self.ours:
            assert self.reader.book is None
        elif self.told:
            assert self.reader.book == (Sides(self.side("bid"), self.side("ask")) if self.rows else None)


TestBooks = Books.TestCase


@given(st.lists(frames(), max_size=12))
def test_a_delta_never_says_what_is_known(sent: list[list[dict[str, Any]]]) -> None:
    book, reader = Book(1, "ESZ6"), Reader()
    for number, frame in enumerate(sent):
        before = reader.book
        record = book.apply(rows_of(json.dumps(frame).encode()), event_time=number, seq=number)
        if record is None:
            continue
        reader.seq = number - 1
        value = json.loads(msgspec.json.encode(record), parse_float=Decimal)
        reader.take(value)
        if record.kind == "delta" and before is not None:
            levels = [(before.bids, level) for level in value["bids"]] + [(before.asks, x) for x in value["asks"]]
            assert all(side.get(Decimal(price)) != size for side, (price, size) in levels)
