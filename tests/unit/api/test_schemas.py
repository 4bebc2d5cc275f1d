"""The schemas that we publish and the types that we write say the same."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import msgspec
import pytest

from ibfeed_api.records import (
    SCHEMA_CONTRACT,
    SCHEMA_DEPTH,
    SCHEMA_EVENT,
    SCHEMA_TICK,
    ContractRecord,
    DepthRecord,
    FeedEvent,
    Tick,
    seq_of,
)

FOLDER = Path(__file__).resolve().parents[3] / "schemas"
TYPES: dict[str, type[msgspec.Struct]] = {
    SCHEMA_TICK: Tick,
    SCHEMA_DEPTH: DepthRecord,
    SCHEMA_EVENT: FeedEvent,
    SCHEMA_CONTRACT: ContractRecord,
}


def schema_of(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((FOLDER / f"{name.replace('/', '-')}.json").read_text(encoding="utf-8"))
    return schema


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema_of(name))


def written(record: msgspec.Struct) -> Any:
    """The record as a careful consumer reads it."""
    return json.loads(msgspec.json.encode(record), parse_float=Decimal)


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


TICK = Tick(
    symbol="CLZ6",
    conid=212921504,
    price=raw("71.90"),
    size=raw("3"),
    open_interest=None,
    event_time=1795244400123,
    market_data_type="RpB",
    bid=None,
    bid_size=None,
    ask=raw("71.91"),
    ask_size=raw("9"),
    volume=raw("87250"),
    received_ns=1795244400171000000,
    seq=seq_of(1_795_244_400, 7),
    flags=["price", "snapshot"],
)
DEPTH = DepthRecord(
    symbol="ESZ6",
    conid=495512563,
    event_time=1795244400500,
    kind="snapshot",
    bids=[(raw("5190.25"), raw("41"))],
    asks=[],
    seq=seq_of(1, 0),
    flags=[],
)
GAP = FeedEvent(
    kind="gap",
    feed="energy",
    worker="energy-1",
    at_ms=1795244403500,
    conid=212921504,
    symbol="CLZ6",
    epoch=2,
    to_ms=1795244403000,
    detail="worker energy-0 was lost",
)
SESSION = FeedEvent(kind="session", feed="energy", worker="energy-1", at_ms=1795244403500)
CONTRACT = ContractRecord(
    conid=212921504,
    symbol="CLZ6",
    root="CL",
    exchange="NYMEX",
    trading_class="CL",
    multiplier=raw("1000"),
    currency="USD",
    min_price_increment=raw("0.01"),
    contract_month="202612",
    first_notice_day=None,
    last_trading_day="20261120",
    trading_hours=[(1795129200000, 1795212000000)],
    slot=0,
    feed="energy",
    market_data_type="RpB",
    timeliness="real_time",
    market_data_marks=["consolidated", "book"],
    at_ms=1795244400123,
)


# What older records on the topics are of: a reader of the newest version reads them, too.
FORMER = {SCHEMA_TICK: ["ticklast/1"], SCHEMA_DEPTH: ["l2-data/1"], SCHEMA_EVENT: ["feed-events/1"]}


def test_every_file_is_a_schema_of_a_record() -> None:
    names = [*TYPES, *(name for names in FORMER.values() for name in names)]
    assert {path.stem for path in FOLDER.glob("*.json")} == {name.replace("/", "-") for name in names}


@pytest.mark.parametrize(("newest", "former"), [(newest, one) for newest, all_ in FORMER.items() for one in all_])
def test_records_of_former_versions_are_valid_ones(newest: str, former: str) -> None:
    for example in schema_of(former)["examples"]:
        validator(former).validate(example)
        validator(newest).validate(example)


@pytest.mark.parametrize(
    "symbol",
    [
        "CLZ6",
        "6EZ6",
        "SILZ6",
        "VX48X6",
        "HHI.HKZ6",
        "M-GDZ6",
        "EADZ6.ICEUS",
        "VXZ6-18",
        "SR3Z36",
        "FIBZ6.0.2",
        "NGF7.OSE.JPN",
    ],
)
@pytest.mark.parametrize(("name", "record"), [(SCHEMA_TICK, TICK), (SCHEMA_DEPTH, DEPTH), (SCHEMA_EVENT, GAP)])
def test_symbols_of_all_kinds(name: str, record: msgspec.Struct, symbol: str) -> None:
    validator(name).validate({**written(record), "symbol": symbol})


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_is_valid_and_names_itself(name: str) -> None:
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == name
    assert schema["$id"] == f"urn:ibfeed:schema:{name.replace('/', ':')}"


@pytest.mark.parametrize("name", TYPES)
def test_keys_are_the_types_fields(name: str) -> None:
    schema, fields = schema_of(name), msgspec.structs.fields(TYPES[name])
    assert list(schema["properties"]) == [field.encode_name for field in fields]
    assert schema["required"] == [field.encode_name for field in fields if field.required]


@pytest.mark.parametrize("name", TYPES)
def test_null_is_allowed_where_the_type_writes_it(name: str) -> None:
    """Optional fields with a default are left out instead (``omit_defaults``)."""
    hints = get_type_hints(TYPES[name])
    nullable = {
        field.encode_name
        for field in msgspec.structs.fields(TYPES[name])
        if field.required and type(None) in get_args(hints[field.name])
    }
    properties = schema_of(name)["properties"]
    assert {key for key, value in properties.items() if "null" in value.get("type", ())} == nullable


@pytest.mark.parametrize("name", [SCHEMA_DEPTH, SCHEMA_EVENT])
def test_kinds_are_the_types(name: str) -> None:
    assert schema_of(name)["properties"]["kind"]["enum"] == list(get_args(get_type_hints(TYPES[name])["kind"]))


@pytest.mark.parametrize("name", TYPES)
def test_examples_are_valid_and_in_the_order_of_what_is_written(name: str) -> None:
    examples = schema_of(name)["examples"]
    assert examples
    keys = [field.encode_name for field in msgspec.structs.fields(TYPES[name])]
    for example in examples:
        validator(name).validate(example)
        assert list(example) == [key for key in keys if key in example]


@pytest.mark.parametrize(
    ("name", "record"),
    [
        (SCHEMA_TICK, TICK),
        (SCHEMA_DEPTH, DEPTH),
        (SCHEMA_EVENT, GAP),
        (SCHEMA_EVENT, SESSION),
        (SCHEMA_CONTRACT, CONTRACT),
    ],
)
def test_what_is_written_is_valid(name: str, record: msgspec.Struct) -> None:
    validator(name).validate(written(record))


def test_digits_come_through_as_ib_wrote_them() -> None:
    assert str(written(TICK)["price"]) == "71.90"
    assert str(written(DEPTH)["bids"][0][0]) == "5190.25"


@pytest.mark.parametrize(
    ("name", "record", "changes"),
    [
        (SCHEMA_TICK, TICK, {"price": None}),
        (SCHEMA_TICK, TICK, {"price": "71.90"}),
        (SCHEMA_TICK, TICK, {"size": -1}),
        (SCHEMA_TICK, TICK, {"symbol": "CLA6"}),
        (SCHEMA_TICK, TICK, {"event_time": 1795244400.5}),
        (SCHEMA_TICK, TICK, {"market_data_type": ""}),
        (SCHEMA_TICK, TICK, {"seq": 2**53}),
        (SCHEMA_TICK, TICK, {"flags": ["price", "price"]}),
        (SCHEMA_DEPTH, DEPTH, {"kind": "partial"}),
        (SCHEMA_DEPTH, DEPTH, {"kind": "clear"}),
        (SCHEMA_DEPTH, DEPTH, {"asks": [[5190.5]]}),
        (SCHEMA_DEPTH, DEPTH, {"asks": [[5190.5, 1, 2]]}),
        (SCHEMA_DEPTH, DEPTH, {"asks": [[5190.5, -1]]}),
        (SCHEMA_EVENT, GAP, {"kind": "rumour"}),
        (SCHEMA_EVENT, GAP, {"from_ms": None}),
        (SCHEMA_EVENT, SESSION, {"kind": "assigned"}),
        (SCHEMA_CONTRACT, CONTRACT, {"multiplier": "1000"}),
        (SCHEMA_CONTRACT, CONTRACT, {"min_price_increment": 0}),
        (SCHEMA_CONTRACT, CONTRACT, {"trading_hours": [[1795129200000]]}),
        (SCHEMA_CONTRACT, CONTRACT, {"last_trading_day": "2026-11-20"}),
        (SCHEMA_CONTRACT, CONTRACT, {"timeliness": "live"}),
    ],
)
def test_what_no_consumer_should_meet_is_refused(name: str, record: msgspec.Struct, changes: dict[str, Any]) -> None:
    assert not validator(name).is_valid({**written(record), **changes})


@pytest.mark.parametrize(
    ("name", "record"),
    [(SCHEMA_TICK, TICK), (SCHEMA_DEPTH, DEPTH), (SCHEMA_EVENT, SESSION), (SCHEMA_CONTRACT, CONTRACT)],
)
def test_keys_of_a_later_release_do_no_harm(name: str, record: msgspec.Struct) -> None:
    validator(name).validate({**written(record), "added_later": 1})
