"""The columns of ClickHouse's tables."""

from __future__ import annotations

import pytest

from ibfeed_platform.categories.clickhouse import TableColumn, column_list, table_columns
from ibfeed_platform.categories.columns import columns_of
from ibfeed_platform.categories.source import Category
from support.categories import ALL, NEWEST


@pytest.mark.parametrize("category", ALL, ids=lambda category: category.name)
def test_each_column_of_a_row_is_one(category: Category) -> None:
    names = [column.name for column in columns_of(category)]
    assert [column.name for column in table_columns(category)] == names
    assert [line.split("`")[1] for line in column_list(category).splitlines()] == names


@pytest.mark.parametrize(
    ("category", "column", "kind"),
    [
        ("market_tick", "symbol", "String"),
        ("market_tick", "price", "Decimal(38, 18)"),
        ("market_tick", "price_unit", "LowCardinality(String)"),
        ("market_tick", "bid", "Nullable(Decimal(38, 18))"),
        ("market_tick", "bid_state", "LowCardinality(Nullable(String))"),
        ("market_tick", "received_time", "Int64"),
        ("market_tick", "flags", "Array(LowCardinality(String))"),
        ("contract", "exchange", "Nullable(String)"),
        ("contract", "trading_hours", "Array(Tuple(start Int64, end Int64))"),
    ],
)
def test_types(category: str, column: str, kind: str) -> None:
    assert {one.name: one.kind for one in table_columns(NEWEST[category])}[column] == kind


def test_comment_is_quoted() -> None:
    column = TableColumn("bid", "Int64", r"The book's \ best bid.")
    assert column.definition == r"`bid` Int64 COMMENT 'The book\'s \\ best bid.'"


def test_columns_are_divided_by_commas() -> None:
    lines = column_list(NEWEST["bar"]).splitlines()
    assert all(line.endswith("',") for line in lines[:-1])
    assert lines[-1].endswith("'")
