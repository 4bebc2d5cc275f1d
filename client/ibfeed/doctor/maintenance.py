"""IB's own times of maintenance, in which it refuses logins and ends sessions. No I/O.

Its status page and its documents name them; the worker goes by the same, and a test holds the two together.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

_NEW_YORK: Final = ZoneInfo("America/New_York")
_ZONES: Final = {"America": _NEW_YORK, "Europe": ZoneInfo("Europe/Zurich"), "Asia": ZoneInfo("Asia/Hong_Kong")}
_RESET_FROM: Final = dt.time(23, 45)
# For all regions, in New York's time: weekday (Monday is 0), hour, and how long.
_WEEKEND: Final = ((4, dt.time(23), dt.timedelta(hours=4)), (5, dt.time(18), dt.timedelta(hours=9)))


@dataclass(frozen=True, slots=True)
class Maintenance:
    """One time of maintenance, in UTC."""

    name: str
    begins: dt.datetime
    ends: dt.datetime


def maintenance_at(region: str, now: dt.datetime) -> Maintenance | None:
    """Return IB's maintenance that goes on at ``now``, the one that ends last; None if none does.

    Args:
        region: of ``spec.accounts.region``.
        now: with a time zone.
    """
    zone = _ZONES.get(region, _NEW_YORK)
    found = []
    for day in (-1, 0):
        evening = now.astimezone(zone).date() + dt.timedelta(days=day)
        begins = dt.datetime.combine(evening, _RESET_FROM, zone).astimezone(dt.UTC)
        ends = dt.datetime.combine(evening + dt.timedelta(days=1), dt.time(1, 15), zone).astimezone(dt.UTC)
        found.append(Maintenance(f"daily reset of region {region}", begins, ends))
    today = now.astimezone(_NEW_YORK).date()
    for weekday, hour, lasts in _WEEKEND:
        day_of = today - dt.timedelta(days=(today.weekday() - weekday) % 7)
        begins = dt.datetime.combine(day_of, hour, _NEW_YORK).astimezone(dt.UTC)
        found.append(Maintenance("weekend maintenance", begins, begins + lasts))
    return max((one for one in found if one.begins <= now < one.ends), key=lambda one: one.ends, default=None)
