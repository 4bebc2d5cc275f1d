"""The package's data are those of the category schemas, and each state has a rule."""

from __future__ import annotations

import pytest

from ibfeed.clickhouse import expressions
from ibfeed.clickhouse.categories import categories
from ibfeed_platform.categories.clickhouse import table_columns
from ibfeed_platform.categories.source import Category
from support.categories import BY_TOPIC

CARRIED = list(BY_TOPIC.values())


@pytest.mark.parametrize("category", CARRIED, ids=lambda category: category.name)
def test_columns_are_those_of_the_source(category: Category) -> None:
    ours = categories()[category.category]
    wanted = [(column.name, column.kind, column.comment) for column in table_columns(category)]
    assert [(column.name, column.kind, column.comment) for column in ours.columns] == wanted
    assert ours.version == category.version


@pytest.mark.parametrize("category", CARRIED, ids=lambda category: category.name)
def test_fields_and_stream_are_those_of_the_source(category: Category) -> None:
    ours = categories()[category.category]
    wanted = [(one.name, str(one.dtype), one.unit, tuple(one.states), one.nullable) for one in category.fields]
    assert [(one.name, one.dtype, one.unit, one.states, one.nullable) for one in ours.fields] == wanted
    (stream,) = category.streams
    assert ours.stream.key_of == {field: key for key, field in stream.fields.items()}
    assert ours.stream.levels == stream.levels
    assert ours.stream.schemas == tuple(f"{stream.topic}/{version}" for version in stream.versions)


def test_categories_without_a_topic_are_left_out() -> None:
    assert sorted(categories()) == sorted(category.category for category in CARRIED)


@pytest.mark.parametrize("category", CARRIED, ids=lambda category: category.name)
def test_each_column_has_sql_in_the_order_of_the_table(category: Category) -> None:
    ours = categories()[category.category]
    found = {one.name: one.sql for one in expressions.columns(ours)}
    assert list(found) == [column.name for column in ours.columns]
    assert not [sql for sql in found.values() if "{" in sql.replace("'{currency}'", "")]
