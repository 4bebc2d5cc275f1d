"""Records from Kafka, and the quotes, rates and sparklines that they become."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from importlib import resources
from typing import Any

import fastavro
import msgspec

from ibfeed_operator.console.quotes import SAMPLE_MS, QuoteBoard
from ibfeed_operator.console.ticks import Summary, summarise

EVENTS = frozenset({"feed-events"})


class Record:
    def __init__(self, value: bytes | None, topic: str = "ticklast", at: int = 1000) -> None:
        self._value, self._topic, self._at = value, topic, at

    def topic(self) -> str:
        return self._topic

    def value(self) -> bytes | None:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return 1, self._at


def tick(conid: int = 1, price: str = "71.90", event_time: int = 5000, bid: str = "null") -> bytes:
    return (
        f'{{"symbol":"CLZ6","conid":{conid},"price":{price},"size":3,"open_interest":null,"event_time":{event_time},'
        f'"market_data_type":"RpB","bid":{bid},"bid_size":1,"ask":71.91,"ask_size":7,"volume":18,'
        '"received_ns":1,"seq":2,"flags":["price"]}'
    ).encode()


def board_with(*values: bytes) -> QuoteBoard:
    board = QuoteBoard()
    board.merge("kafka:9092", summarise([Record(value) for value in values], EVENTS))
    return board


def rows(board: QuoteBoard, *conids: int) -> Any:
    return json.loads(msgspec.json.encode(board.changed("kafka:9092", "ticklast", conids)))


def test_summary_keeps_the_last_tick_and_the_count_of_each_contract() -> None:
    found = summarise([Record(tick(1, "1.5")), Record(tick(2)), Record(tick(1, "1.7"), at=3000)], EVENTS)
    value, count = found.latest["ticklast", 1]
    assert (bytes(value.price), count, found.newest_ms) == (b"1.7", 2, 3000)


def test_record_that_is_none_of_ours_is_counted_and_passed_over() -> None:
    found = summarise([Record(b"{"), Record(b"\0\0\0\0\1x"), Record(None), Record(tick())], EVENTS)
    assert (found.unreadable, list(found.latest)) == (2, [("ticklast", 1)])


def test_events_come_with_their_topic() -> None:
    value = b'{"kind":"gap","feed":"energy","worker":"energy-0","at_ms":5,"conid":1}'
    ((topic, event),) = summarise([Record(value, "feed-events")], EVENTS).events
    assert (topic, event.kind, event.feed) == ("feed-events", "gap", "energy")


def avro(name: str, **record: Any) -> bytes:
    schema = json.loads((resources.files("ibfeed_api") / "avro" / f"{name}.avsc").read_text())
    out = io.BytesIO(b"\0\0\0\0\7")
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()


def test_avro_says_the_same_as_json() -> None:
    numbers = {name: Decimal(1) for name in ("size", "bid_size", "ask_size", "open_interest")}
    value = avro(
        "ticklast-2", symbol="CLZ6", conid=1, price=Decimal("71.90"), event_time=5, market_data_type="RpB", bid=None,
        ask=Decimal("71.91"), volume=Decimal(1200), received_ns=1, seq=2, flags=[], **numbers,
    )  # fmt: skip
    found, _ = summarise([Record(value)], EVENTS).latest["ticklast", 1]
    assert [bytes(one) for one in (found.price, found.bid, found.ask, found.volume)] == [
        b"71.9",
        b"null",
        b"71.91",
        b"1200",
    ]


def test_avro_events_are_read() -> None:
    schema = json.loads((resources.files("ibfeed_api") / "avro" / "feed-events-2.avsc").read_text())
    empty = {field["name"]: None for field in schema["fields"]}
    value = avro(
        "feed-events-2", **(empty | {"kind": "gap", "feed": "energy", "worker": "w", "at_ms": 5, "detail": ""})
    )
    ((_, event),) = summarise([Record(value, "feed-events")], EVENTS).events
    assert (event.kind, event.conid) == ("gap", None)


def test_numbers_reach_the_page_with_ibs_own_digits() -> None:
    board = board_with(tick(price="71.90", bid="71.890"))
    board.look(1000)
    assert b"[1,71.90,71.890,71.91,18,5000," in msgspec.json.encode(board.changed("kafka:9092", "ticklast", [1]))


def test_only_what_changed_is_sent() -> None:
    board = board_with(tick(1), tick(2))
    board.look(1000)
    assert [row[0] for row in rows(board, 1, 2, 3)] == [1, 2]
    for second in range(2, 60):
        board.look(second * 1000)
    assert rows(board, 1, 2) == []
    assert [row.conid for row in board.rows("kafka:9092", "ticklast", [1, 2, 3])] == [1, 2]


def test_rate_comes_to_the_updates_a_second_and_falls_to_zero() -> None:
    board = QuoteBoard()
    for step in range(1, 100):
        board.merge("kafka:9092", summarise([Record(tick(), at=step * 500)] * 2, EVENTS))
        board.look(step * 500)
    assert abs(rows(board, 1)[0][-1] - 4.0) < 0.1
    for step in range(100, 200):
        board.look(step * 500)
    assert board.rows("kafka:9092", "ticklast", [1])[0].rate == 0.0


def test_backlog_brings_prices_and_no_rate() -> None:
    board = QuoteBoard()
    board.look(100_000)
    board.merge("kafka:9092", summarise([Record(tick(price="7.5"), at=50_000)] * 900, EVENTS))
    board.look(100_400)
    ((_, price, *_, rate),) = rows(board, 1)
    assert (price, rate) == (7.5, 0.0)


def test_older_record_does_not_replace_a_newer_one() -> None:
    board = board_with(tick(price="2.0", event_time=2000))
    board.merge("kafka:9092", summarise([Record(tick(price="1.0", event_time=1000))], EVENTS))
    assert bytes(board.rows("kafka:9092", "ticklast", [1])[0].price) == b"2.0"


def test_sparkline_has_a_point_for_each_two_seconds() -> None:
    board = board_with(tick(price="1.5"))
    for ms in range(0, 5 * SAMPLE_MS, 400):
        board.look(100_000 + ms)
    assert board.sparklines("kafka:9092", "ticklast", [1, 2]) == {1: [1.5] * 5}


def test_same_contract_on_another_topic_is_another_quote() -> None:
    board = board_with(tick())
    board.look(1000)
    assert board.changed("kafka:9092", "other", [1]) == []
    assert board.changed("elsewhere:9092", "ticklast", [1]) == []


def test_nothing_is_left_once_nothing_is_read() -> None:
    board = board_with(tick())
    board.look(1000)
    board.clear()
    assert (rows(board, 1), board.rows("kafka:9092", "ticklast", [1]), board.newest_ms) == ([], [], 0)


def test_empty_summary_changes_nothing() -> None:
    board = QuoteBoard()
    board.merge("kafka:9092", Summary())
    board.look(1000)
    assert (board.newest_ms, rows(board, 1)) == (0, [])
