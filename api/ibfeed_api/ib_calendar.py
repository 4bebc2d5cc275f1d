"""IB's own times: the daily resets and the maintenance that it publishes. Pure: the time is the caller's.

Exchanges' own breaks are not here: IB tells the trading hours of each contract. Outages that are not planned are not
here either: IB tells them on a web page for people, which a program was seen to misread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from ibfeed_api.feed import Region

NEW_YORK: Final = ZoneInfo("America/New_York")
ZONES: Final = {
    Region.AMERICA: NEW_YORK,
    Region.EUROPE: ZoneInfo("Europe/Zurich"),
    Region.ASIA: ZoneInfo("Asia/Hong_Kong"),
}
# The daily reset of the Web API's sessions. Sources say midnight, and 01:00 of the region: the window covers both.
_BEGINS: Final = time(23, 45)
_ENDS: Final = time(1, 15)
# IB's weekend maintenance, for all regions: its status page has Friday 23:00 to Saturday 03:00, the Web API's documents
# Saturday evening. Each entry has the weekday (Monday is 0) and hour of its begin in New York, and its length.
MAINTENANCE: Final = ((4, time(23), timedelta(hours=4)), (5, time(18), timedelta(hours=9)))
# The resets of IB's servers by the table of its status page (interactivebrokers.co.uk, software/systemStatus.php),
# Sunday to Friday: begin in the region's zone, and length. Sessions may break and logins be refused for a while.
SERVER_RESETS: Final = {
    Region.AMERICA: ((time(0, 15), timedelta(minutes=90)),),
    Region.EUROPE: ((time(6, 25), timedelta(minutes=80)),),
    Region.ASIA: ((time(4, 45), timedelta(minutes=80)), (time(20, 15), timedelta(minutes=60))),
}
_SATURDAY: Final = 5
SESSIONS: Final = "daily reset of sessions"
SERVERS: Final = "daily reset of servers"
WEEKEND: Final = "weekend maintenance"


@dataclass(frozen=True, slots=True)
class Closure:
    """One reset or maintenance of IB, in UTC. ``what`` it is, and the ``zone`` in which IB tells it."""

    begins: datetime
    ends: datetime
    what: str
    zone: ZoneInfo

    def __contains__(self, moment: datetime) -> bool:
        return self.begins <= moment < self.ends

    @property
    def text(self) -> str:
        """For a person, such as ``IB's weekend maintenance goes on until 08:00 UTC (03:00 EST)``."""
        return f"IB's {self.what} goes on until {self.ends:%H:%M} UTC ({self.ends.astimezone(self.zone):%H:%M %Z})"


def reset_window(region: Region, after: datetime) -> Closure:
    """Return the first daily reset of sessions that ends after a moment."""
    zone = ZONES[region]
    day = after.astimezone(zone).date() - timedelta(days=1)
    while True:
        begins = datetime.combine(day, _BEGINS, zone).astimezone(UTC)
        ends = datetime.combine(day + timedelta(days=1), _ENDS, zone).astimezone(UTC)
        if ends > after:
            return Closure(begins, ends, SESSIONS, zone)
        day += timedelta(days=1)


def refuses_all(region: Region, now: datetime) -> Closure | None:
    """Return the daily reset of sessions or the weekend maintenance that goes on at ``now``, if one does.

    A refusal says nothing of an account then. Of several the one that ends last.
    """
    return _last(now, (reset_window(region, now), *_weekends(now)))


def closure_at(region: Region, now: datetime) -> Closure | None:
    """Return what IB has published to go on at ``now``, if anything: trouble of sessions and logins is IB's then."""
    return _last(now, (reset_window(region, now), *_weekends(now), *_server_resets(region, now)))


def closures(region: Region, since: datetime, until: datetime) -> tuple[Closure, ...]:
    """Return all that IB has published between two moments, in the order of their begins."""
    days = (since + timedelta(days=day) for day in range(-1, (until - since).days + 2))
    found = {
        closure
        for day in days
        for closure in (reset_window(region, day), *_weekends(day), *_server_resets(region, day))
        if closure.ends > since and closure.begins < until
    }
    return tuple(sorted(found, key=lambda closure: (closure.begins, closure.ends)))


def _last(now: datetime, closures: tuple[Closure, ...]) -> Closure | None:
    return max((closure for closure in closures if now in closure), key=lambda closure: closure.ends, default=None)


def _weekends(now: datetime) -> Iterator[Closure]:
    today = now.astimezone(NEW_YORK).date()
    for weekday, begins, lasts in MAINTENANCE:
        day = today - timedelta(days=(today.weekday() - weekday) % 7)
        begun = datetime.combine(day, begins, NEW_YORK).astimezone(UTC)
        yield Closure(begun, begun + lasts, WEEKEND, NEW_YORK)


def _server_resets(region: Region, now: datetime) -> Iterator[Closure]:
    zone = ZONES[region]
    today = now.astimezone(zone).date()
    if today.weekday() == _SATURDAY:
        return
    for begins, lasts in SERVER_RESETS[region]:
        begun = datetime.combine(today, begins, zone).astimezone(UTC)
        yield Closure(begun, begun + lasts, SERVERS, zone)
