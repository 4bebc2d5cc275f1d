"""The numbers of columns are for ever, so they are written down here once more."""

from __future__ import annotations

import pytest

from ibfeed_platform.categories.columns import columns_of
from support.categories import NEWEST


@pytest.mark.parametrize(
    ("category", "column", "number"),
    [
        ("market_tick", "source_system", 10),
        ("market_tick", "price", 40),
        ("market_tick", "price_dtype", 41),
        ("market_tick", "price_unit", 42),
        ("market_tick", "price_state", 43),
        ("market_tick", "flags", 160),
        ("order_book", "row_count", 120),
        ("contract", "recorded_time_state", 193),
    ],
)
def test_number_of_a_column(category: str, column: str, number: int) -> None:
    assert {one.name: one.number for one in columns_of(NEWEST[category])}[column] == number
