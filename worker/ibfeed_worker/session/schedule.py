"""When a session is to be replaced by a new login. Pure: the time is the caller's.

IB ends every session after 24 hours, and resets the sessions of a region around its midnight: a login is good from
the end of that window on, for less than a day. So a worker logs in anew once a night, after the window; one whose last
login was so early that the next window would come too late does so before the window, too. Each has moments of its own,
so that contracts leave one worker of a feed at a time and IB sees no crowd.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from ibfeed_api.feed import Region

LONGEST: Final = timedelta(hours=24)  # OFF-v1: a session's life
MARGIN: Final = timedelta(minutes=5)  # the login itself, and clocks that differ
LEAD: Final = timedelta(minutes=15)  # for others to take the contracts over, one worker after the other
SPREAD: Final = timedelta(hours=2)
_NARROW: Final = timedelta(minutes=20)  # the spread of those who can't wait for their usual moment
_YOUNGEST: Final = timedelta(minutes=15)  # no session is replaced sooner, whatever IB says
_WATCHED: Final = timedelta(minutes=10)  # before ``ssoExpires`` is believed to count down
# Sources say midnight, and 01:00: the window covers both.
_BEGINS: Final = time(23, 45)
_ENDS: Final = time(1, 15)
_NEW_YORK: Final = ZoneInfo("America/New_York")
# IB's weekend, for all regions: its status page has Friday 23:00 to Saturday 03:00, the Web API's documents Saturday
# evening. Each by weekday (Monday is 0) and hour of its begin, and how long it lasts.
_MAINTENANCE: Final = ((4, time(23), timedelta(hours=4)), (5, time(18), timedelta(hours=9)))
_ZONES: Final = {
    Region.AMERICA: _NEW_YORK,
    Region.EUROPE: ZoneInfo("Europe/Zurich"),
    Region.ASIA: ZoneInfo("Asia/Hong_Kong"),
}
_GOLDEN: Final = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class ResetWindow:
    """IB's daily reset, in UTC."""

    begins: datetime
    ends: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.begins <= moment < self.ends


@dataclass(frozen=True, slots=True)
class Appointment:
    """From ``due`` on the worker asks to be relieved, and logs in anew once it is; at ``latest`` it does so anyway."""

    due: datetime
    latest: datetime


@dataclass(frozen=True, slots=True)
class Lifetime:
    """What is known of a session's end. Sources disagree whether ``ssoExpires`` counts down to it or is renewed by each
    request (documented examples are minutes), so it is believed only after it was seen to count down."""

    logged_in: datetime
    watched: tuple[datetime, datetime] | None = None  # when it was first heard, and the end that it named
    end: datetime | None = None  # IB's own, if it names one

    def heard(self, left_ms: int | None, now: datetime) -> Lifetime:
        """After a ``/tickle`` that said ``ssoExpires``."""
        if left_ms is None or left_ms < 0:
            return self
        named = now + timedelta(milliseconds=min(left_ms, LONGEST // timedelta(milliseconds=1)))
        if self.watched is None:
            return replace(self, watched=(now, named))
        since, first = self.watched
        if now - since < _WATCHED:
            return self
        return replace(self, end=None if named - first > (now - since) / 2 else named)


def reset_window(region: Region, after: datetime) -> ResetWindow:
    """The first window that ends after a moment."""
    zone = _ZONES[region]
    day = after.astimezone(zone).date() - timedelta(days=1)
    while True:
        begins = datetime.combine(day, _BEGINS, zone).astimezone(UTC)
        ends = datetime.combine(day + timedelta(days=1), _ENDS, zone).astimezone(UTC)
        if ends > after:
            return ResetWindow(begins, ends)
        day += timedelta(days=1)


def refuses_all(region: Region, now: datetime) -> ResetWindow | None:
    """IB's daily reset or weekend maintenance, if it goes on at ``now``: a refusal says nothing of an account then."""
    today = now.astimezone(_NEW_YORK).date()
    windows = [reset_window(region, now)]
    for weekday, begins, lasts in _MAINTENANCE:
        day = today - timedelta(days=(today.weekday() - weekday) % 7)
        begun = datetime.combine(day, begins, _NEW_YORK).astimezone(UTC)
        windows.append(ResetWindow(begun, begun + lasts))
    return max((window for window in windows if now in window), key=lambda window: window.ends, default=None)


def place(account: int) -> float:
    """Where in a spread an account's worker stands: in [0, 1), and neighbours, however many there are, far apart."""
    return account * _GOLDEN % 1.0


def appointment(lifetime: Lifetime, region: Region, account: int) -> Appointment:
    """When the session is to be replaced."""
    begun, at = lifetime.logged_in, place(account)
    latest = min(begun + LONGEST, lifetime.end or begun + LONGEST) - MARGIN
    window = reset_window(region, begun)
    bound = latest - LEAD - (1 - at) * _NARROW
    if bound >= window.ends:
        due = min(window.ends + at * SPREAD, bound)
    else:
        before = window.begins - MARGIN
        latest = min(latest, before)
        due = min(before - LEAD - at * SPREAD, bound)
    due = max(due, begun + (1 + at) * _YOUNGEST)
    return Appointment(due, max(due, latest))
