"""The JSON Schema of a row accepts every row of a category, and no other."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_platform.categories.codec import decode, encode
from ibfeed_platform.categories.json_schema import json_schema
from ibfeed_platform.categories.rows import to_rows
from ibfeed_platform.categories.source import Category
from support.categories import ALL, BY_TOPIC, NEWEST, RECORDS, TOPICS, UNHURRIED, rows_of, tick_row

VALIDATORS = {category.name: jsonschema.Draft202012Validator(json.loads(json_schema(category))) for category in ALL}


def name_of(category: Category) -> str:
    return category.name


@pytest.mark.parametrize("category", ALL, ids=name_of)
def test_schema_is_one_of_its_draft(category: Category) -> None:
    schema = json.loads(json_schema(category))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:ibfeed:category:{category.category}:{category.version}"


@pytest.mark.parametrize("topic", TOPICS)
@UNHURRIED
@given(data=st.data())
def test_rows_of_records_are_valid(topic: str, data: st.DataObject) -> None:
    record = decode(msgspec.json.encode(data.draw(RECORDS[topic])))
    for row in to_rows(BY_TOPIC[topic], topic, record, None):
        VALIDATORS[BY_TOPIC[topic].name].validate(decode(encode(row)))


@pytest.mark.parametrize("category", ALL, ids=name_of)
@UNHURRIED
@given(data=st.data())
def test_rows_of_all_states_are_valid(category: Category, data: st.DataObject) -> None:
    VALIDATORS[category.name].validate(data.draw(rows_of(category)))


@pytest.mark.parametrize(
    ("changes", "without"),
    [
        ({"price": None}, ""),
        ({"price": "71.90"}, ""),
        ({"price_dtype": "float"}, ""),
        ({"price_dtype": "decimal(x)"}, ""),
        ({"size_unit": "lots"}, ""),
        ({"price_unit": ""}, ""),
        ({"bid_size_unit": "lots"}, ""),
        ({"price_state": ""}, ""),
        ({"price_state": "missing"}, ""),
        ({"price_state": "rumour"}, ""),
        ({"price_state": "live+"}, ""),
        ({"price_state": "+live"}, ""),
        ({"price_state": "changed+live"}, ""),
        ({"price_state": "livechanged"}, ""),
        ({"price_state": "live+live"}, ""),
        ({"seq": 2**63}, ""),
        ({"seq": Decimal("1.5")}, ""),
        ({"flags": [1]}, ""),
        ({"symbol_dtype": "int64"}, ""),
        ({}, "price"),
        ({}, "price_state"),
    ],
)
def test_other_rows_are_refused(changes: dict[str, Any], without: str) -> None:
    validator = VALIDATORS[NEWEST["market_tick"].name]
    row = tick_row()
    assert validator.is_valid(row)
    assert not validator.is_valid({key: value for key, value in (row | changes).items() if key != without})


def test_columns_of_a_later_version_do_no_harm() -> None:
    assert VALIDATORS[NEWEST["market_tick"].name].is_valid(tick_row() | {"added_later": 1})
