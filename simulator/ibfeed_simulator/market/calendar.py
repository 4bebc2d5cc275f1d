"""Business days of the US exchanges, and the rules by which futures stop trading."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

_DAY: Final = timedelta(days=1)
_MONDAY, _WEDNESDAY, _THURSDAY, _FRIDAY = 0, 2, 3, 4

Rule = Callable[[int, int], date]
"""``(year, month)`` of delivery -> last trading day."""


def easter(year: int) -> date:
    """Return Easter Sunday by the Gregorian computus (Meeus)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e, f = b // 4, b % 4, (b + 8) // 25
    g = (b - f + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def nth_weekday(year: int, month: int, weekday: int, n: int) -> date:
    """Return the ``n``-th (from 1) ``weekday`` (Monday is 0) of a month."""
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _observed(day: date) -> date:
    """Return the day on which a holiday is kept: for a Saturday the Friday before, for a Sunday the Monday after."""
    return {5: day - _DAY, 6: day + _DAY}.get(day.weekday(), day)


@lru_cache(maxsize=256)
def holidays(year: int) -> frozenset[date]:
    """Return the days of ``year`` that are no business day for CME, NYMEX and COMEX settlement."""
    last_of_may = date(year, 5, 31)
    return frozenset(
        {
            _observed(date(year, 1, 1)),
            nth_weekday(year, 1, _MONDAY, 3),
            nth_weekday(year, 2, _MONDAY, 3),
            easter(year) - timedelta(days=2),
            last_of_may - timedelta(days=last_of_may.weekday()),
            _observed(date(year, 6, 19)),
            _observed(date(year, 7, 4)),
            nth_weekday(year, 9, _MONDAY, 1),
            nth_weekday(year, 11, _THURSDAY, 4),
            _observed(date(year, 12, 25)),
        }
    )


def is_business_day(day: date) -> bool:
    return day.weekday() < 5 and day not in holidays(day.year)


def business_day_before(day: date, count: int = 1) -> date:
    """Return the ``count``-th business day strictly before ``day``."""
    while count:
        day -= _DAY
        count -= is_business_day(day)
    return day


def _on_or_before(day: date) -> date:
    return day if is_business_day(day) else business_day_before(day)


def _month_start(year: int, month: int, shift: int = 0) -> date:
    index = year * 12 + month - 1 + shift
    return date(index // 12, index % 12 + 1, 1)


def crude_oil(year: int, month: int) -> date:
    """NYMEX rule of CL: three business days before the 25th of the month before delivery.

    If the 25th is no business day, it is three before the business day that precedes it.
    """
    before = _month_start(year, month, -1)
    return business_day_before(_on_or_before(before.replace(day=25)), 3)


def natural_gas(year: int, month: int) -> date:
    """NYMEX rule of NG: three business days before the first of the delivery month."""
    return business_day_before(_month_start(year, month), 3)


def last_business_day_of_prior_month(year: int, month: int) -> date:
    return business_day_before(_month_start(year, month))


def brent(year: int, month: int) -> date:
    """Last business day of the second month before delivery."""
    return business_day_before(_month_start(year, month, -1))


def third_friday(year: int, month: int) -> date:
    return _on_or_before(nth_weekday(year, month, _FRIDAY, 3))


def last_friday(year: int, month: int) -> date:
    end = _month_start(year, month, 1) - _DAY
    return _on_or_before(end - timedelta(days=(end.weekday() - _FRIDAY) % 7))


def metal(year: int, month: int) -> date:
    """COMEX: the third last business day of the delivery month."""
    return business_day_before(_month_start(year, month, 1), 3)


def grain(year: int, month: int) -> date:
    """CBOT: the business day before the 15th of the delivery month."""
    return business_day_before(date(year, month, 15))


def treasury(year: int, month: int) -> date:
    """CBOT bonds and ten-year notes: the seventh business day before the last one of the delivery month."""
    return business_day_before(_month_start(year, month, 1), 8)


def hang_seng(year: int, month: int) -> date:
    """HKFE: the business day before the month's last one (by the calendar of this module)."""
    return business_day_before(_month_start(year, month, 1), 2)


def last_business_day(year: int, month: int) -> date:
    return business_day_before(_month_start(year, month, 1))


def currency(year: int, month: int) -> date:
    """CME currencies: two business days before the third Wednesday."""
    return business_day_before(nth_weekday(year, month, _WEDNESDAY, 3), 2)


def weekly_volatility(week: int) -> date:
    """CFE: the Wednesday of a week, counted from 1990."""
    return _on_or_before(date(1990, 1, 3) + timedelta(weeks=week))


def volatility(year: int, month: int) -> date:
    """CFE: the Wednesday thirty days before the third Friday of the following month."""
    following = _month_start(year, month, 1)
    return _on_or_before(nth_weekday(following.year, following.month, _FRIDAY, 3) - timedelta(days=30))
