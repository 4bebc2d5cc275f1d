"""Last trading days against those that the exchanges published."""

from __future__ import annotations

from datetime import date

import pytest

from ibfeed_simulator.market import calendar
from ibfeed_simulator.market.catalogue import BY_ROOT


@pytest.mark.parametrize(
    ("root", "year", "month", "day"),
    [
        ("CL", 2026, 12, date(2026, 11, 20)),  # three business days before 25 November
        ("CL", 2024, 1, date(2023, 12, 19)),  # the 25th is Christmas: counted from the business day before it
        ("CL", 2024, 2, date(2024, 1, 22)),
        ("NG", 2026, 12, date(2026, 11, 25)),  # Thanksgiving is the 26th
        ("NG", 2024, 1, date(2023, 12, 27)),
        ("ES", 2024, 3, date(2024, 3, 15)),
        ("ES", 2026, 6, date(2026, 6, 18)),  # the third Friday is Juneteenth
        ("RB", 2024, 2, date(2024, 1, 31)),
        ("BZ", 2024, 3, date(2024, 1, 31)),
        ("GC", 2024, 2, date(2024, 2, 27)),
        ("ZC", 2024, 3, date(2024, 3, 14)),
        ("ZN", 2024, 3, date(2024, 3, 19)),
        ("6E", 2024, 3, date(2024, 3, 18)),
        ("VX", 2024, 2, date(2024, 2, 14)),
    ],
)
def test_last_trading_day(root: str, year: int, month: int, day: date) -> None:
    assert BY_ROOT[root][0].last_trading_day(year, month) == day


@pytest.mark.parametrize("day", [date(2026, 4, 3), date(2026, 11, 26), date(2026, 7, 3), date(2026, 6, 19)])
def test_exchange_holidays(day: date) -> None:
    assert not calendar.is_business_day(day)
