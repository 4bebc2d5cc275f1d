"""What a contract's record says, when it is news, and when it is over."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from ibfeed_api.records import ContractRecord
from ibfeed_api.shard import Entry, EntryState
from ibfeed_worker.hours.hours import Hours, Span
from ibfeed_worker.reference.record import compose, decode, encode, increment_of, is_news, is_over
from ibfeed_worker.ticks.availability import availability

HOURS = Hours.of([Span(1_795_129_200.0, 1_795_212_000.0), Span(1_795_215_600.0, 1_795_298_400.0)])
ENTRY = Entry(
    conid=7,
    symbol="SILF7",
    root="SI",
    exchange="COMEX",
    trading_class="SIL",
    multiplier="1000",
    currency="USD",
    contract_month="202701",
    last_trading_day="20270127",
    slot=3,
    epoch=9,
    state=EntryState.ACTIVE,
)


def record(entry: Entry = ENTRY, before: ContractRecord | None = None, **more: Any) -> ContractRecord:
    known: dict[str, Any] = {"increment": "0.005", "hours": HOURS, "kind": "RpB", "at_ms": 5}
    return compose(entry, feed="metals", before=before, **(known | more))


def test_it_says_all_that_is_known() -> None:
    assert msgspec.json.decode(encode(record())) == {
        "conid": 7,
        "symbol": "SILF7",
        "root": "SI",
        "exchange": "COMEX",
        "trading_class": "SIL",
        "multiplier": 1000,
        "currency": "USD",
        "min_price_increment": 0.005,
        "contract_month": "202701",
        "first_notice_day": None,
        "last_trading_day": "20270127",
        "trading_hours": [[1795129200000, 1795212000000], [1795215600000, 1795298400000]],
        "slot": 3,
        "feed": "metals",
        "market_data_type": "RpB",
        "timeliness": "real_time",
        "market_data_marks": ["consolidated", "book"],
        "at_ms": 5,
    }


def test_what_is_not_known_is_null() -> None:
    bare = Entry(conid=7, symbol="CLZ6", root="CL", slot=0, epoch=1, state=EntryState.ACTIVE)
    found = record(bare, increment=None, hours=Hours(), kind=None)
    assert [name for name, value in msgspec.to_builtins(found).items() if value is None] == [
        "exchange", "trading_class", "multiplier", "currency", "min_price_increment", "contract_month",
        "first_notice_day", "last_trading_day", "trading_hours", "market_data_type", "timeliness",
    ]  # fmt: skip


def test_a_new_worker_forgets_nothing_that_the_topic_knows() -> None:
    before = record()
    later = record(before=decode(encode(before)), increment=None, hours=Hours(), kind=None, at_ms=99)
    assert not is_news(later, decode(encode(before)))


@pytest.mark.parametrize(
    "change",
    [
        {"increment": "0.01"},
        {"hours": Hours.of([Span(1_795_129_200.0, 1_795_212_000.0)])},
        {"kind": "DpB"},
        {"entry": msgspec.structs.replace(ENTRY, slot=4)},
        {"entry": msgspec.structs.replace(ENTRY, symbol="SILF27")},
    ],
    ids=str,
)
def test_each_change_is_news(change: dict[str, Any]) -> None:
    before = decode(encode(record()))
    assert is_news(record(before=before, **change), before)
    assert is_news(record(), None)


def test_the_time_of_writing_is_no_news() -> None:
    assert not is_news(record(at_ms=99), decode(encode(record())))


@pytest.mark.parametrize(
    ("last", "over"),
    [("20270127", False), ("20270122", False), ("20270121", True), ("20261231", True), ("", False), ("soon", False)],
)
def test_a_contract_is_over_some_days_after_its_last(last: str, over: bool) -> None:
    found = record(msgspec.structs.replace(ENTRY, last_trading_day=last))
    assert is_over(found, date(2027, 1, 27)) is over


@pytest.mark.parametrize("value", [b"", b"{}", b"null", b"[]", b"\xff", b'{"conid":"x"}'])
def test_what_is_not_ours_is_passed_over(value: bytes) -> None:
    assert decode(value) is None


def test_a_record_of_a_later_release_is_read() -> None:
    text = encode(record())[:-1] + b',"added_later":1}'
    assert decode(text) == decode(encode(record()))


@pytest.mark.parametrize(
    ("found", "increment"),
    [
        ({"rules": {"increment": 0.005}}, "0.005"),
        ({"rules": {"increment": "0.01"}}, "0.01"),
        ({"rules": {"increment": 5e-07}}, "5e-07"),
        ({"rules": {"increment": 0}}, None),
        ({"rules": {"increment": True}}, None),
        ({"rules": {"increment": "n/a"}}, None),
        ({"rules": {}}, None),
        ({"rules": []}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_increment_in_ibs_rules(found: object, increment: str | None) -> None:
    assert increment_of(found) == increment


def test_small_increments_are_plain_numbers() -> None:
    assert b'"min_price_increment":0.0000005,' in encode(record(increment="5e-07"))


@pytest.mark.parametrize(
    ("kind", "timeliness", "marks"),
    [
        ("RpB", "real_time", ("consolidated", "book")),
        ("RB", "real_time", ("book",)),
        ("R", "real_time", ()),
        ("DPB", "delayed", ("snapshot", "book")),
        ("Z", "frozen", ()),
        ("Yp", "frozen_delayed", ("consolidated",)),
        ("N", "not_subscribed", ()),
        ("O", "incomplete_acknowledgement", ()),
        ("S", "unknown", ()),
        ("Rdiv", "real_time", ("performance_details", "incomplete", "vendor_exempt")),
        ("RX", "real_time", ()),
        ("", "unknown", ()),
    ],
)
def test_6509_in_words(kind: str, timeliness: str, marks: tuple[str, ...]) -> None:
    assert availability(kind) == (timeliness, marks)
