"""Records of several topics and feeds become the events that the caller asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import ibfeed
from ibfeed.stream import EventStream, Topics, Wanted
from support.reader_records import (
    AT_MS,
    CONID,
    EPOCH,
    FakeMessage,
    change,
    contract,
    feed_event,
    headers,
    tick,
    tombstone,
)


def stream(*, skip: bool = False, **wanted: Any) -> EventStream:
    return EventStream(Topics(), Wanted(**wanted), skip_unreadable=skip)


def counts(messages: list[FakeMessage], of: EventStream) -> list[int]:
    return [int(event.size) for event in of.events(messages) if isinstance(event, ibfeed.Tick)]


# Filters.


def test_other_feeds_on_the_same_topics_are_left_out() -> None:
    of = stream(feed="energy")
    messages = [
        tick(1),
        tick(1, conid=7, worker="energy-fast-0"),
        tick(2, conid=7, worker="energy-fast-0"),
        change("snapshot", 1, conid=7, worker="energy-fast-0", bids=[("1", "1")]),
        feed_event("alive", feed="metals"),
        feed_event("alive"),
        contract(conid=7, feed="metals"),
    ]
    events = list(of.events(messages))
    assert [type(event) for event in events] == [ibfeed.Tick, ibfeed.Status]
    assert of.counters.unwanted == 5


def test_all_feeds_are_read_if_none_is_named() -> None:
    assert len(list(stream().events([tick(1), tick(1, conid=7, worker="metals-0")]))) == 2


def test_contract_that_moves_to_another_feed_leaves_this_one() -> None:
    messages = [tick(1), tick(1, epoch=EPOCH + 9, worker="metals-0"), tick(2, epoch=EPOCH + 9, worker="metals-0")]
    assert counts(messages, stream(feed="energy")) == [1]
    assert counts(messages, stream(feed="metals")) == [1, 2]


def test_symbols_select_ticks_books_events_and_contracts() -> None:
    of = stream(symbols={"CLZ6"})
    others = [
        tick(1, conid=7, symbol="CLF7"),
        contract(conid=7, symbol="CLF7"),
        feed_event("gap", conid=7, symbol="CLF7", epoch=EPOCH),
    ]
    wanted = [tick(1), contract(), feed_event("gap", conid=CONID, symbol="CLZ6", epoch=EPOCH), feed_event("alive")]
    kinds = [type(event) for event in of.events([*others, *wanted])]
    assert kinds == [ibfeed.Tick, ibfeed.Contract, ibfeed.Gap, ibfeed.Status]
    assert of.counters.unwanted == 3


def test_root_is_the_trading_class_until_the_contract_is_known() -> None:
    of = stream(roots={"SI"})
    before = [tick(1, conid=7, symbol="SIZ6"), tick(1, conid=8, symbol="SILZ6"), tick(1, conid=9, symbol="GCZ6")]
    assert counts(before, of) == [1]
    known = [contract(conid=8, symbol="SILZ6", root="SI"), contract(conid=7, symbol="SIZ6", root="OTHER")]
    after = [tick(2, conid=8, symbol="SILZ6"), tick(3, conid=8, symbol="SILZ6"), tick(2, conid=7, symbol="SIZ6")]
    assert counts([*known, *after], of) == [2, 3]


@pytest.mark.parametrize("symbol", ["SIZ6-18", "SIZ26", "SIZ6.ICEUS", "SIZ6-18.X"])
def test_trading_class_is_found_in_a_longer_symbol(symbol: str) -> None:
    assert counts([tick(1, symbol=symbol)], stream(roots={"SI"})) == [1]


def test_symbol_of_no_known_form_has_no_root() -> None:
    assert counts([tick(1, symbol="odd")], stream(roots={"odd"})) == []


# Contracts.


def test_tick_and_book_have_the_contract_as_it_was_known() -> None:
    of = stream()
    ticks = list(of.events([tick(1), contract(), tick(2), change("snapshot", bids=[("1", "1")]), tombstone(), tick(3)]))
    assert [getattr(event, "contract", "is one") is not None for event in ticks] == [False, True, True, True, False]
    assert ticks[2].contract.min_price_increment == Decimal("0.01")  # type: ignore[union-attr]
    assert of.contracts == {}


def test_table_is_loaded_without_events_and_told_once() -> None:
    of = stream(feed="energy")
    of.load_contracts([contract(), contract(conid=7, feed="metals"), contract(conid=9), tombstone(9)])
    assert [known.conid for known in of.known_contracts()] == [CONID]
    assert set(of.contracts) == {CONID, 7}


# Gaps and status.


def test_gap_says_what_is_missing() -> None:
    message = feed_event("gap", conid=CONID, symbol="CLZ6", epoch=EPOCH, from_ms=AT_MS, detail="a worker was lost")
    (gap,) = stream(feed="energy").events([message])
    assert gap == ibfeed.Gap(
        conid=CONID,
        symbol="CLZ6",
        from_ms=AT_MS,
        to_ms=None,
        reason="a worker was lost",
        at_ms=AT_MS,
        feed="energy",
        worker="energy-0",
    )
    assert gap.start is not None
    assert (gap.start.timestamp() * 1000, gap.end) == (AT_MS, None)


def test_status_has_kind_and_detail() -> None:
    messages = [
        feed_event("session", detail="Streaming"),
        feed_event("assigned", conid=CONID, symbol="CLZ6", epoch=EPOCH),
    ]
    session, assigned = stream().events(messages)
    assert isinstance(session, ibfeed.Status)
    assert isinstance(assigned, ibfeed.Status)
    assert (session.kind, session.detail, session.conid) == ("session", "Streaming", None)
    assert (assigned.kind, assigned.conid, assigned.epoch) == ("assigned", CONID, EPOCH)
    assert assigned.time.timestamp() * 1000 == AT_MS


def test_event_that_is_repeated_stale_or_of_a_later_kind_is_dropped() -> None:
    of = stream()
    late: dict[str, Any] = {"conid": CONID, "symbol": "CLZ6"}
    messages = [
        feed_event("assigned", **late, epoch=EPOCH),
        feed_event("assigned", **late, epoch=EPOCH),
        feed_event("released", **late, epoch=EPOCH - 1),
        feed_event("kind_of_tomorrow"),
    ]
    assert len(list(of.events(messages))) == 1
    assert (of.counters.duplicates, of.counters.stale, of.counters.ignored) == (1, 1, 1)


def test_gap_of_a_former_assignment_is_told() -> None:
    of = stream()
    told = [
        feed_event(kind, conid=CONID, symbol="CLZ6", epoch=epoch)
        for kind, epoch in (("assigned", EPOCH), ("gap", EPOCH - 1))
    ]
    assert [type(event) for event in of.events(told)] == [ibfeed.Status, ibfeed.Gap]


def test_time_of_a_book_is_that_of_its_record() -> None:
    book, gap = stream().events([change("clear", 1), feed_event("gap", conid=CONID, symbol="CLZ6", to_ms=AT_MS)])
    assert isinstance(book, ibfeed.Book)
    assert isinstance(gap, ibfeed.Gap)
    assert gap.end is not None
    assert (book.time.timestamp() * 1000, gap.end.timestamp() * 1000) == (AT_MS + 1, AT_MS)


# Records that cannot be read.

BROKEN = FakeMessage("ticklast", b"7", b'{"symbol":', headers("ticklast/2", "energy-0", EPOCH), of_offset=42)
UNREADABLE = [
    BROKEN,
    FakeMessage("ticklast", b"7", None, headers("ticklast/2", "energy-0", EPOCH)),
    FakeMessage("ticklast", b"7", b"[" * 100_000, headers("ticklast/2", "energy-0", EPOCH)),
    FakeMessage("ticklast", b"7", b'{"symbol":"\xff"}', headers("ticklast/2", "energy-0", EPOCH)),
    FakeMessage("l2-data", b"7", b"{}", headers("l2-data/2", "energy-0", EPOCH)),
    FakeMessage("feed-events", b"7", b"{}", headers("feed-events/2", "energy-0", None)),
    FakeMessage("contracts", b"7", b"{}", headers("contracts/1", "energy-0", None)),
    FakeMessage("contracts", b"no conid", None, headers("contracts/1", "energy-0", None)),
    FakeMessage("ticklast", b"7", b"{}"),
    FakeMessage("ticklast", b"7", tick().value(), headers("ticklast/2", "energy-0", None)),
]


@pytest.mark.parametrize("message", UNREADABLE)
def test_record_that_cannot_be_decoded_is_raised_and_counted(message: FakeMessage) -> None:
    of = stream(feed="energy")
    with pytest.raises(ibfeed.RecordError, match=rf"the record {message.topic()}\[0\]@{message.offset()} "):
        list(of.events([tick(1), message, tick(2)]))
    assert (of.counters.unreadable, of.handled) == (1, 1)


@pytest.mark.parametrize("message", UNREADABLE)
def test_record_that_cannot_be_decoded_is_skipped_if_asked(message: FakeMessage) -> None:
    of = stream(feed="energy", skip=True)
    assert counts([tick(1), message, tick(2)], of) == [1, 2]
    assert (of.counters.unreadable, of.handled) == (1, 3)


@pytest.mark.parametrize(
    "message",
    [
        tick(1, schema="ticklast/3"),
        FakeMessage("ticklast", b"7", b"{}", headers("ticklast/3", "energy-0", EPOCH)),
        feed_event("alive", schema="feed-events/3"),
    ],
)
def test_unknown_schema_is_raised_by_its_name(message: FakeMessage) -> None:
    with pytest.raises(ibfeed.UnknownSchemaError, match=r"/3, and this release"):
        list(stream().events([message]))


def test_broken_record_of_another_feed_is_no_error() -> None:
    of = stream(feed="metals")
    assert list(of.events([BROKEN])) == []
    assert (of.counters.unwanted, of.counters.unreadable) == (1, 0)


@pytest.mark.parametrize("topic", ["ticklast", "l2-data"])
def test_error_of_kafka_is_raised(topic: str) -> None:
    error = FakeMessage(topic, b"", b"text", of_error="topic authorization failed")
    with pytest.raises(ibfeed.KafkaRefusedError, match=f"no records of {topic}: topic authorization failed"):
        list(stream(skip=True).events([error]))


# How far the caller came.


def test_event_is_done_when_the_caller_asks_for_the_next() -> None:
    of = stream()
    events = of.events([tick(1), tick(1), tick(2), tick(3)])
    next(events)
    next(events)
    events.close()
    assert of.handled == 2
