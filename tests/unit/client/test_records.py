"""Records decode as ``schemas/`` documents them, and no digit is lost."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ibfeed
from ibfeed.records import (
    SCHEMAS,
    check_schema,
    decode_change,
    decode_contract,
    decode_event,
    decode_tick,
    origin_of,
)
from support.reader_records import CONID, EPOCH, FakeMessage, contract, headers, tick

FOLDER = Path(__file__).resolve().parents[3] / "schemas"
DECODERS: dict[str, Any] = {
    "ticklast": decode_tick,
    "l2-data": decode_change,
    "feed-events": decode_event,
    "contracts": decode_contract,
}


def examples() -> list[Any]:
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        kind, _, version = path.stem.rpartition("-")
        for example in json.loads(path.read_text(), parse_float=Decimal)["examples"]:
            found.append(pytest.param(kind, example, id=f"{kind}/{version}"))
    return found


def test_every_schema_of_the_repository_is_known() -> None:
    known = {schema for schemas in SCHEMAS.values() for schema in schemas}
    assert known == {"/".join(path.stem.rsplit("-", 1)) for path in FOLDER.glob("*.json")}


@pytest.mark.parametrize(("kind", "example"), examples())
def test_examples_of_the_schemas_decode(kind: str, example: dict[str, Any]) -> None:
    found = DECODERS[kind](json.dumps({**example, "later_key": 1}, default=float).encode())
    assert (found.symbol, found.conid) == (example.get("symbol"), example.get("conid"))


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20).filter(
        lambda number: "E" not in str(number)
    )
)
def test_exact_returns_the_digits_of_the_record(number: Decimal) -> None:
    message = tick(price=str(number))
    found = decode_tick(message.value() or b"")
    msgspec.structs.force_setattr(found, "record", message.value())
    exact = found.exact("price")
    assert str(exact) == str(number)
    assert found.price == float(number)


def test_exact_says_none_and_refuses_a_tick_of_no_record() -> None:
    found = decode_tick(tick().value() or b"")
    with pytest.raises(ValueError, match="not read from a record"):
        found.exact("price")
    msgspec.structs.force_setattr(found, "record", tick().value())
    assert found.exact("open_interest") is None
    with pytest.raises(AttributeError):
        found.exact("symbol")


def test_tick_says_its_time_and_whether_it_is_live() -> None:
    found = decode_tick(tick(flags=("price", "halted")).value() or b"")
    assert found.live
    assert found.time == dt.datetime(2026, 11, 21, 7, 0, 0, 124_000, tzinfo=dt.UTC)
    for flag in ("delayed", "frozen", "not_subscribed", "unverified"):
        assert not decode_tick(tick(flags=("price", flag)).value() or b"").live
    assert "record" not in repr(found)


def test_no_key_of_a_record_becomes_a_contract() -> None:
    value = (tick().value() or b"")[:-1] + b',"contract":"x","record":1}'
    found = decode_tick(value)
    assert (found.contract, found.record) == (None, b"")


def test_contract_has_days_and_decimals() -> None:
    found = decode_contract(contract().value() or b"")
    assert found.last_trading_day == dt.date(2026, 11, 20)
    assert found.first_notice_day is None
    assert (found.multiplier, found.min_price_increment) == (Decimal(1000), Decimal("0.01"))


def test_origin_names_feed_and_epoch() -> None:
    origin = origin_of(tick(worker="north-sea-12"))
    assert (origin.feed, origin.epoch, origin.schema) == ("north-sea", EPOCH, "ticklast/2")


@pytest.mark.parametrize("of", [[], [("worker", b"energy-0")], headers("ticklast/2", "energy-0", None)[:1]])
def test_record_without_our_headers_is_named(of: list[tuple[str, str | bytes | None]]) -> None:
    with pytest.raises(ibfeed.RecordError, match=r"ticklast\[0\]@0 has no header"):
        origin_of(FakeMessage("ticklast", str(CONID).encode(), b"{}", of))


def test_unknown_schema_version_is_named() -> None:
    with pytest.raises(ibfeed.UnknownSchemaError, match=r"has schema ticklast/3, .* knows ticklast/1, ticklast/2"):
        check_schema("ticklast/3", "ticks", tick())
