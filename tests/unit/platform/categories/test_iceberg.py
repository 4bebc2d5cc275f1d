"""The Iceberg schemas are read by PyIceberg, and their ids stay over versions."""

from __future__ import annotations

import pytest
from pyiceberg.schema import Schema, index_by_id
from pyiceberg.types import DecimalType, ListType, LongType, StringType, StructType

from ibfeed_platform.categories.columns import columns_of
from ibfeed_platform.categories.iceberg import iceberg
from ibfeed_platform.categories.source import Category
from support.categories import ALL, NEWEST
from support.category_versions import grown


def read(category: Category) -> Schema:
    return Schema.model_validate_json(iceberg(category))


@pytest.mark.parametrize("category", ALL, ids=lambda category: category.name)
def test_columns_are_read(category: Category) -> None:
    schema = read(category)
    assert [(field.field_id, field.name, field.required, field.doc) for field in schema.fields] == [
        (column.number, column.name, not column.nullable, column.meaning) for column in columns_of(category)
    ]
    assert schema.schema_id == category.version
    assert schema.identifier_field_names() == set(category.key)


def test_types_are_icebergs() -> None:
    schema = read(NEWEST["contract"])
    assert schema.find_type("multiplier") == DecimalType(38, 18)
    assert schema.find_type("recorded_time") == LongType()
    assert schema.find_type("multiplier_state") == StringType()
    hours, marks = schema.find_type("trading_hours"), schema.find_type("market_data_marks")
    assert isinstance(marks, ListType)
    assert isinstance(hours, ListType)
    assert isinstance(hours.element_type, StructType)
    assert [field.name for field in hours.element_type.fields] == ["start", "end"]


@pytest.mark.parametrize("category", ALL, ids=lambda category: category.name)
def test_no_two_columns_share_an_id(category: Category) -> None:
    """PyIceberg indexes nested fields as well, and would lose one of two with the same id."""
    nested = iceberg(category).count('"element-id"') + 2 * iceberg(category).count('"name": "start"')
    assert len(index_by_id(read(category))) == len(columns_of(category)) + nested


@pytest.mark.parametrize("category", ALL, ids=lambda category: category.name)
def test_ids_stay_in_the_next_version(category: Category) -> None:
    old, new = index_by_id(read(category)), index_by_id(read(grown(category)[0]))
    assert {id_: (new[id_].name, new[id_].field_type) for id_ in old} == {
        id_: (field.name, field.field_type) for id_, field in old.items()
    }
    assert all(new[id_].optional for id_ in new.keys() - old.keys())
