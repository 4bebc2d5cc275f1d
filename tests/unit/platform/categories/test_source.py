"""A source file is read whole, or refused with all that is wrong with it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ibfeed_platform.categories.source import SourceError, parse
from support.categories import ALL

SOURCE: dict[str, Any] = {
    "category": "price_alert",
    "version": 1,
    "meaning": "A price that was reached.",
    "key": ["instrument_id"],
    "states": {"present": "It has a value.", "missing": "It has none."},
    "fields": [
        {
            "id": 1,
            "name": "instrument_id",
            "dtype": "int64",
            "unit": "none",
            "states": ["present"],
            "meaning": "The number.",
        },
        {
            "id": 2,
            "name": "price",
            "dtype": "decimal",
            "unit": "{currency}",
            "nullable": True,
            "states": ["missing", "present"],
            "meaning": "The price.",
        },
    ],
    "streams": [{"topic": "alerts", "versions": [1], "keys": {"conid": "instrument_id", "price": "price"}}],
}


def changed(**changes: Any) -> str:
    return msgspec.yaml.encode(SOURCE | changes).decode()


def with_price(**changes: Any) -> str:
    number, price = SOURCE["fields"]
    return changed(fields=[number, price | changes])


def with_stream(**changes: Any) -> str:
    return changed(streams=[SOURCE["streams"][0] | changes])


def test_source_is_read() -> None:
    category = parse(changed())
    assert (category.name, category.title, category.by_name["price"].nullable) == ("price_alert-1", "PriceAlert", True)


def test_committed_categories() -> None:
    names = {"bar", "contract", "economic_event", "feed_event", "market_tick", "order_book"}
    assert {category.category for category in ALL} == names


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("category: [", "did not find expected node content"),
        (changed(version=0), "versions begin with 1"),
        (changed(colour="red"), "unknown field `colour`"),
        (changed(category="PriceAlert"), "PriceAlert is not in snake case"),
        (changed(key=["price"]), "key price is no field that always has one value"),
        (changed(key=["symbol"]), "key symbol is no field"),
        (with_price(id=1), "2 fields have id 1"),
        (with_price(id=1900), "id 1900 is not between 1 and 1899"),
        (with_price(id=0), "id 0 is not between 1 and 1899"),
        (with_price(name="instrument_id"), "2 columns would be called instrument_id"),
        (with_price(name="instrument_id_unit"), "2 columns would be called instrument_id_unit"),
        (with_price(name="Price"), "Price is not in snake case"),
        (with_price(dtype="float"), "Invalid enum value 'float'"),
        (with_price(unit="{multiplier}"), "price: no record tells the multiplier that its unit names"),
        (with_price(unit=""), "price has no unit or no meaning"),
        (with_price(meaning=""), "price has no unit or no meaning"),
        (with_price(states=[]), "price has no states"),
        (with_price(states=["missing", "present", "present"]), "price has a state twice"),
        (with_price(nullable=False), "price: a field is nullable if, and only if, it may be missing"),
        (with_price(states=["present"]), "price: a field is nullable if, and only if, it may be missing"),
        (with_price(states=["missing", "live"]), "state live has no meaning"),
        (changed(states=SOURCE["states"] | {"live": "It is live."}), "no field has state live"),
        (changed(states=SOURCE["states"] | {"a+b": "Both."}), r"state a\+b is not in snake case"),
        (with_stream(keys={"conid": "number"}), "alerts: number is no field"),
        (with_stream(keys={"conid": "price", "price": "price"}), "alerts: price is told 2 times"),
        (with_stream(constants={"price": "1"}), "alerts: price is told 2 times"),
        (with_stream(optional=["size"]), "alerts: optional size is no key"),
        (with_stream(keys={"bids": {"side": "bid"}}), "alerts: side is no field"),
    ],
)
def test_contradiction_is_refused(text: str, cause: str) -> None:
    with pytest.raises(SourceError, match=cause):
        parse(text)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SourceError, match=r"price_alert-0: versions begin with 1; key symbol .*"):
        parse(changed(version=0, key=["symbol"]))


def test_topic_of_another_category_is_refused() -> None:
    with pytest.raises(SourceError, match="price_alert-1: topic ticklast is not among its streams"):
        parse(changed()).stream("ticklast")
