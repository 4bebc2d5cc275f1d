"""The schedule of new logins that replace a session. Pure: the time is the caller's.

IB ends every session after 24 hours, and resets the sessions of a region around its midnight. So a login is good from
the end of that window on, for less than a day. A worker logs in again once a night, after the window. A worker whose
last login was too early to last until the next window's end also logs in before the window. Each worker has moments of
its own, so that contracts leave one worker of a feed at a time and IB sees no crowd.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from ibfeed_api.feed import Region
from ibfeed_api.ib_calendar import reset_window

LONGEST: Final = timedelta(hours=24)  # a session's life, by source OFF-v1
MARGIN: Final = timedelta(minutes=5)  # the login itself, and clocks that differ
LEAD: Final = timedelta(minutes=15)  # for others to take the contracts over, one worker after the other
SPREAD: Final = timedelta(hours=2)
_NARROW: Final = timedelta(minutes=20)  # the spread of workers that can't wait for their usual moment
_YOUNGEST: Final = timedelta(minutes=15)  # no session is replaced sooner, whatever IB says
_WATCHED: Final = timedelta(minutes=10)  # time to watch before ``ssoExpires`` is believed to count down
_GOLDEN: Final = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Appointment:
    """The time for a session's replacement.

    From ``due`` on the worker asks to be relieved, and logs in again once it is. At ``latest`` it logs in anyway.
    """

    due: datetime
    latest: datetime


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A session's lifetime, as far as its end is known.

    Sources disagree whether ``ssoExpires`` counts down to it or is renewed by each request (documented examples are
    minutes). So it is believed only after it was seen to count down.
    """

    logged_in: datetime
    watched: tuple[datetime, datetime] | None = None  # when ``ssoExpires`` was first heard, and the end that it named
    end: datetime | None = None  # IB's own, if it names one

    def heard(self, left_ms: int | None, now: datetime) -> Lifetime:
        """Return the lifetime after a ``/tickle`` that said ``ssoExpires``."""
        if left_ms is None or left_ms < 0:
            return self
        named = now + timedelta(milliseconds=min(left_ms, LONGEST // timedelta(milliseconds=1)))
        if self.watched is None:
            return replace(self, watched=(now, named))
        since, first = self.watched
        if now - since < _WATCHED:
            return self
        return replace(self, end=None if named - first > (now - since) / 2 else named)


def place(account: int) -> float:
    """Return the place of an account's worker in a spread, in [0, 1).

    Neighbours are far apart, however many there are.
    """
    return account * _GOLDEN % 1.0


def appointment(lifetime: Lifetime, region: Region, account: int) -> Appointment:
    """Return when the session is to be replaced."""
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
