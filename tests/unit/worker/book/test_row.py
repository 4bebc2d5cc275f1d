"""Rows of a ladder: the documented forms, those that clients have met, and garbage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_worker.book import Row, conid_of, rows_of

# The documented shapes: a price alone, the last trade's size before it, one of bid and ask with commas, or neither.
DOCUMENTED = (
    b'[{"row":0,"focus":0,"price":"100.05"},{"row":1,"focus":1,"price":"200 @ 100.04"},'
    b'{"row":2,"focus":0,"price":"100.03","bid":"1,200"},{"row":3,"focus":0,"price":"3 @ 100.06","ask":"300"}]'
)


def plain(row: Row) -> tuple[Any, ...]:
    """The digits that would be published."""
    sides = [
        tuple(bytes(digits).decode() for digits in level.digits) if level else None for level in (row.bid, row.ask)
    ]
    return (row.row, *sides)


def read(*rows: object) -> list[tuple[Any, ...]]:
    found = rows_of(json.dumps(rows).encode())
    assert found.unplaced == 0
    assert all(row.readable for row in found.rows)
    return [plain(row) for row in found.rows]


def test_the_documented_frame() -> None:
    found = rows_of(DOCUMENTED)
    assert [plain(row) for row in found.rows] == [
        (0, None, None),
        (1, None, None),
        (2, ("100.03", "1200"), None),
        (3, None, ("100.06", "300")),
    ]


@pytest.mark.parametrize(
    ("row", "bid", "ask"),
    [
        ({"row": 4, "price": "5,190.50", "bid": "1,234,567"}, ("5190.50", "1234567"), None),
        ({"row": "4", "price": 71.9, "ask": 7}, None, ("71.9", "7")),
        ({"row": 4, "price": "-37.63", "bid": "12"}, ("-37.63", "12"), None),
        ({"row": 4, "price": "2@71.90", "bid": "12", "ask": "3"}, ("71.90", "12"), ("71.90", "3")),
        ({"row": 4, "price": "71.90", "bid": "1.5K"}, ("71.90", "1500"), None),
        ({"row": 4, "price": "71.90", "bid": "0"}, None, None),
        ({"row": 4, "price": "71.90", "bid": "", "ask": None}, None, None),
        ({"row": 4, "price": ""}, None, None),
        ({"row": 4}, None, None),
    ],
)
def test_forms_of_a_row(row: dict[str, Any], bid: object, ask: object) -> None:
    assert read(row) == [(4, bid, ask)]


@pytest.mark.parametrize(
    "row",
    [
        {"row": 4, "price": "n/a", "bid": "12"},
        {"row": 4, "price": "71.90", "bid": "-3"},
        {"row": 4, "price": "71.90", "bid": "many"},
        {"row": 4, "bid": "12"},
        {"row": 4, "price": ["71.90"], "bid": "12"},
    ],
)
def test_a_row_that_cannot_be_read_holds_nothing_and_says_so(row: dict[str, Any]) -> None:
    assert rows_of(json.dumps([row]).encode()).rows == (Row(4, readable=False),)


@pytest.mark.parametrize("row", [{}, {"row": -1}, {"row": "four"}, {"row": 10**9}, None, 7, "x", [], {"row": {}}])
def test_what_belongs_to_no_row_is_counted(row: object) -> None:
    good = {"row": 1, "price": "1", "bid": "2"}
    found = rows_of(json.dumps([row, good]).encode())
    assert (len(found.rows), found.unplaced) == (1, 1)


@pytest.mark.parametrize(("data", "unplaced"), [(b"", 0), (b"null", 0), (b"[]", 0), (b"{}", 1), (b'"x"', 1), (b"[", 1)])
def test_frames_without_rows(data: bytes, unplaced: int) -> None:
    assert rows_of(data) == ((), unplaced)


def test_an_accent_in_latin_1_spoils_one_row_only() -> None:
    found = rows_of(b'[{"row":0,"price":"caf\xe9","bid":"1"},{"row":1,"price":"5","bid":"1"}]')
    assert [row.readable for row in found.rows] == [False, True]


@given(st.binary(max_size=60))
def test_no_bytes_raise(data: bytes) -> None:
    rows_of(data)
    rows_of(b'[{"row":0,"price":"' + data + b'","bid":"1"}]')


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["row", "price", "bid", "ask", "focus"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(_json)
def test_no_document_raises(document: object) -> None:
    rows_of(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("topic", "conid"),
    [
        ("sbd+DU123+265598", 265598),
        ("sbd+DU123+265598+NASDAQ", 265598),
        ("sbd+DU123+265598@SMART", 265598),
        ("sbd+DU123", None),
        ("sbd+265598", None),
        ("sbd+DU123+x", None),
        ("sbd+DU123+1+2+3", None),
        (f"sbd+DU123+{10**19}", None),
    ],
)
def test_the_contract_of_a_topic(topic: str, conid: int | None) -> None:
    assert conid_of(topic) == conid
