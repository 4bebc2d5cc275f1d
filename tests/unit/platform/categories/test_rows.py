"""A record becomes rows and the rows become the record, with every digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.records import TOPIC_CONTRACTS, TOPIC_DEPTH, TOPIC_EVENTS, TOPIC_TICKS
from ibfeed_platform.categories.codec import decode, encode
from ibfeed_platform.categories.rows import Row, RowError, to_record, to_rows
from support.categories import BY_TOPIC, CONTRACT, CONTRACTS, RECORDS, TICKS, TOPICS, UNHURRIED, book_rows, tick_row


@pytest.mark.parametrize("topic", TOPICS)
@UNHURRIED
@given(data=st.data())
def test_rows_become_the_record_byte_for_byte(topic: str, data: st.DataObject) -> None:
    written = msgspec.json.encode(data.draw(RECORDS[topic]))
    rows = to_rows(BY_TOPIC[topic], topic, decode(written), None)
    shuffled = data.draw(st.permutations(rows))
    assert encode(to_record(BY_TOPIC[topic], topic, shuffled)) == written


@UNHURRIED
@given(TICKS, CONTRACTS)
def test_tick_with_its_reference_record_becomes_itself(tick: Any, contract: Any) -> None:
    written = msgspec.json.encode(tick)
    reference = decode(msgspec.json.encode(msgspec.structs.replace(contract, conid=tick.conid)))
    rows = to_rows(BY_TOPIC[TOPIC_TICKS], TOPIC_TICKS, decode(written), reference)
    assert encode(to_record(BY_TOPIC[TOPIC_TICKS], TOPIC_TICKS, rows)) == written
    assert rows[0]["price_unit"] == (reference["currency"] or "unknown")


@pytest.mark.parametrize("topic", TOPICS)
@UNHURRIED
@given(data=st.data())
def test_every_field_has_its_four_columns(topic: str, data: st.DataObject) -> None:
    record = decode(msgspec.json.encode(data.draw(RECORDS[topic])))
    expected = [f"{field.name}{meta}" for field in BY_TOPIC[topic].fields for meta in ("", "_dtype", "_unit", "_state")]
    for row in to_rows(BY_TOPIC[topic], topic, record, None):
        assert list(row) == expected


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("source_system", "interactive_brokers"),
        ("instrument_id", 212921504),
        ("price", Decimal("71.90")),
        ("price_dtype", "decimal(2)"),
        ("price_unit", "USD"),
        ("price_state", "live+changed"),
        ("size_dtype", "decimal(0)"),
        ("size_unit", "contracts"),
        ("size_state", "live"),
        ("ask", None),
        ("ask_dtype", "decimal"),
        ("ask_unit", "USD"),
        ("ask_state", "missing"),
        ("event_time_unit", "ms since 1970"),
        ("received_time_unit", "ns since 1970"),
        ("received_time_dtype", "int64"),
        ("flags_dtype", "list<string>"),
    ],
)
def test_columns_of_a_tick(column: str, value: Any) -> None:
    assert tick_row()[column] == value


def test_prices_have_no_known_unit_without_a_reference_record() -> None:
    row = tick_row(reference=None)
    assert (row["price_unit"], row["bid_unit"], row["size_unit"]) == ("unknown", "unknown", "contracts")


def test_reference_record_of_another_contract_is_refused() -> None:
    with pytest.raises(RowError, match="of conid 5, the record of 212921504"):
        tick_row(reference=CONTRACT | {"conid": 5})


def test_contract_is_its_own_reference() -> None:
    record = dict.fromkeys(BY_TOPIC[TOPIC_CONTRACTS].stream(TOPIC_CONTRACTS).fields)
    record |= {**CONTRACT, "symbol": "CLZ6", "root": "CL", "slot": 0, "feed": "energy", "market_data_marks": []}
    (row,) = to_rows(BY_TOPIC[TOPIC_CONTRACTS], TOPIC_CONTRACTS, record | {"at_ms": 1}, None)
    assert (row["min_price_increment_unit"], row["multiplier_unit"]) == ("USD", "1/contract")


def test_each_level_of_a_book_is_a_row() -> None:
    levels = [(row["side"], row["level"], row["price"], row["size"], row["row_number"]) for row in book_rows()]
    assert levels == [
        ("bid", 1, Decimal("5190.25"), 41, 1),
        ("bid", 2, Decimal("5190.00"), 0, 2),
        ("ask", 1, Decimal("5190.50"), 38, 3),
    ]
    assert {row["row_count"] for row in book_rows()} == {3}


def test_book_without_levels_is_one_row() -> None:
    (row,) = book_rows(kind="clear", bids=[], asks=[])
    assert (row["side"], row["price"], row["row_number"], row["row_count"]) == (None, None, 1, 1)


@pytest.mark.parametrize("rows", [[], book_rows()[:-1], [*book_rows(), book_rows()[0]]])
def test_book_is_restored_from_all_its_rows_only(rows: list[Row]) -> None:
    with pytest.raises(RowError, match="not all those of one record"):
        to_record(BY_TOPIC[TOPIC_DEPTH], TOPIC_DEPTH, rows)


def test_rows_of_two_books_are_no_record() -> None:
    rows = [*book_rows()[:-1], book_rows(seq=7)[-1]]
    with pytest.raises(RowError, match="not all those of one record"):
        to_record(BY_TOPIC[TOPIC_DEPTH], TOPIC_DEPTH, rows)


def test_two_ticks_are_no_record() -> None:
    with pytest.raises(RowError, match="2 rows for a record of ticklast"):
        to_record(BY_TOPIC[TOPIC_TICKS], TOPIC_TICKS, [tick_row(), tick_row()])


def test_event_leaves_out_what_has_no_value() -> None:
    record = {"kind": "alive", "feed": "energy", "worker": "energy-0", "at_ms": 1}
    rows = to_rows(BY_TOPIC[TOPIC_EVENTS], TOPIC_EVENTS, record, None)
    assert rows[0]["detail_state"] == "missing"
    assert to_record(BY_TOPIC[TOPIC_EVENTS], TOPIC_EVENTS, rows) == record


def test_empty_list_of_a_store_is_null_where_the_state_says_so() -> None:
    record = dict.fromkeys(BY_TOPIC[TOPIC_CONTRACTS].stream(TOPIC_CONTRACTS).fields)
    record |= {**CONTRACT, "symbol": "CLZ6", "root": "CL", "slot": 0, "feed": "energy", "market_data_marks": []}
    record["at_ms"] = 1
    (row,) = to_rows(BY_TOPIC[TOPIC_CONTRACTS], TOPIC_CONTRACTS, record, None)
    assert to_record(BY_TOPIC[TOPIC_CONTRACTS], TOPIC_CONTRACTS, [row | {"trading_hours": []}]) == record


@pytest.mark.parametrize("stored", [Decimal("71.900000000000000000"), "71.9"])
def test_decimals_of_a_store_get_their_digits_back(stored: Any) -> None:
    row = tick_row() | {"price": stored, "size": 3}
    record = to_record(BY_TOPIC[TOPIC_TICKS], TOPIC_TICKS, [row])
    assert (str(record["price"]), str(record["size"])) == ("71.90", "3")


def test_value_that_a_store_has_rounded_is_refused() -> None:
    with pytest.raises(RowError, match=r"price has a value of 71.9, which is no decimal\(2\)"):
        to_record(BY_TOPIC[TOPIC_TICKS], TOPIC_TICKS, [tick_row() | {"price": 71.9}])


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"price": None}, "price has no value"),
        ({"price": 71.9}, "price is no decimal: 71.9 is not exact"),
        ({"price": True}, "price is no decimal"),
        ({"price": Decimal("NaN")}, "price is no decimal: NaN is no number"),
        ({"price": Decimal("Infinity")}, "Infinity is no number"),
        ({"price": Decimal(10**20)}, "needs more than 38 digits"),
        ({"price": Decimal("0.0000000000000000001")}, "needs more than 38 digits, 18 after the point"),
        ({"price": Decimal("1E+99")}, "needs more than 38 digits"),
        ({"seq": 2**63}, "seq is no int64: 9223372036854775808 does not fit"),
        ({"seq": True}, "seq is no int64: True is no whole number"),
        ({"event_time": Decimal("1.5")}, "event_time is no int64"),
        ({"symbol": 7}, "symbol is no string: 7 is no text"),
        ({"flags": ["price", 7]}, "flags is no list<string>: 7 is no text"),
    ],
)
def test_value_that_no_column_holds_is_refused(changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(RowError, match=cause):
        tick_row(**changes)


def test_zeros_after_the_18th_digit_are_in_the_dtype_only() -> None:
    row = tick_row(price=Decimal("0.5" + 19 * "0"))
    assert (str(row["price"]), row["price_dtype"]) == ("0.500000000000000000", "decimal(20)")
    assert str(to_record(BY_TOPIC[TOPIC_TICKS], TOPIC_TICKS, [row])["price"]) == "0.5" + 19 * "0"


def test_exponents_are_read_as_the_number_that_they_are() -> None:
    row = tick_row(size=Decimal("1E+5"))
    assert (str(row["size"]), row["size_dtype"]) == ("100000", "decimal(0)")
