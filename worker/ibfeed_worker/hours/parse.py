"""IB's two answers about trading hours. Pure, and strict: hours that were misread would take a quiet market for dead.

``/contract/trading-schedule`` names the coming days, with times in seconds since 1970. ``/trsrv/secdef/schedule`` names
weekdays (20000101 is any Saturday, 20000107 any Friday) and single dates that override them, with the exchange's wall
times.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from ibfeed_worker.hours.hours import Hours, Span

_ANY_SATURDAY: Final = date(2000, 1, 1)
_SATURDAY: Final = 5
_DAY: Final = timedelta(days=1)
_DAYS_BACK: Final = 1
_DAYS_AHEAD: Final = 7
_LONGEST_S: Final = 4 * 86_400  # of a session; a longer one is a misunderstanding


class BadHours(Exception):
    """IB's answer can't be read as trading hours."""


def of_contract(found: Any) -> Hours:
    """``/contract/trading-schedule?conid=``: a day that is not named has no trading. Raises BadHours."""
    days = found.get("schedules") if isinstance(found, Mapping) else None
    if not isinstance(days, Mapping):
        raise BadHours("/contract/trading-schedule has no schedules")
    spans = []
    for name, day in days.items():
        if not isinstance(day, Mapping):
            raise BadHours(f"/contract/trading-schedule: {name!r} is no day")
        listed = day.get("extended_hours") or day.get("liquid_hours") or []
        if not isinstance(listed, list):
            raise BadHours(f"/contract/trading-schedule: {name!r} has no list of hours")
        spans += [_span(_seconds(hours, "opening"), _seconds(hours, "closing")) for hours in listed]
    return _checked(spans, "/contract/trading-schedule")


def of_venue(found: Any, exchange: str, today: date) -> Hours:
    """``/trsrv/secdef/schedule``: from the day before ``today`` to a week after it. Raises BadHours.

    Of several venues it is that of ``exchange``, if the answer names exchanges, else the first.
    """
    venues = [venue for venue in found if isinstance(venue, Mapping)] if isinstance(found, list) else []
    venue = next((one for one in venues if one.get("exchange") == exchange), next(iter(venues), None))
    if venue is None:
        raise BadHours("/trsrv/secdef/schedule names no venue")
    zone = _zone(venue.get("timezone"))
    listed = venue.get("schedules")
    days: dict[date, Mapping[str, Any]] = {}
    for day in listed if isinstance(listed, list) else ():
        if isinstance(day, Mapping):
            days[_date(day.get("tradingScheduleDate"))] = day
    spans: list[Span] = []
    for offset in range(-_DAYS_BACK, _DAYS_AHEAD + 1):
        when = today + offset * _DAY
        usual = _ANY_SATURDAY + (when.weekday() - _SATURDAY) % 7 * _DAY
        spans += _times(days.get(when, days.get(usual, {})), when, zone)
    return _checked(spans, "/trsrv/secdef/schedule")


def _checked(spans: list[Span], source: str) -> Hours:
    if not spans:
        raise BadHours(f"{source} names no hours")
    return Hours.of(spans)


def _times(day: Mapping[str, Any], when: date, zone: ZoneInfo) -> list[Span]:
    times = day.get("tradingtimes") or day.get("sessions") or []
    if not isinstance(times, list):
        raise BadHours(f"/trsrv/secdef/schedule: no list of times for {when}")
    return [_wall_span(one, when, zone) for one in times]


def _wall_span(times: Any, when: date, zone: ZoneInfo) -> Span:
    if not isinstance(times, Mapping):
        raise BadHours(f"/trsrv/secdef/schedule: no times for {when}")
    opening, closing = _minutes(times.get("openingTime")), _minutes(times.get("closingTime"))
    # The session of a trading day that opens in the evening opens on the evening before.
    first = when if opening < closing else when - _DAY
    return _span(_moment(first, opening, zone), _moment(when, closing, zone))


def _moment(day: date, minutes: int, zone: ZoneInfo) -> float:
    days, minutes = divmod(minutes, 24 * 60)
    return datetime.combine(day + days * _DAY, time(minutes // 60, minutes % 60), zone).timestamp()


def _span(opening: float, closing: float) -> Span:
    if not 0 < closing - opening <= _LONGEST_S:
        raise BadHours(f"hours from {opening:.0f} to {closing:.0f}")
    return Span(opening, closing)


def _seconds(hours: Any, name: str) -> float:
    value = hours.get(name) if isinstance(hours, Mapping) else None
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal() and len(text) == 10):
        raise BadHours(f"/contract/trading-schedule: {name} is {text[:40]!r}")
    return float(text)


def _minutes(value: Any) -> int:
    """``1730``; ``2400`` is the day's end."""
    text = str(value)
    if not (len(text) == 4 and text.isascii() and text.isdecimal()):
        raise BadHours(f"/trsrv/secdef/schedule: {text[:40]!r} is no time")
    minutes = int(text[:2]) * 60 + int(text[2:])
    if int(text[2:]) > 59 or minutes > 24 * 60:
        raise BadHours(f"/trsrv/secdef/schedule: {text!r} is no time")
    return minutes


def _date(value: Any) -> date:
    text = str(value)
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a date of the exchange
    except ValueError:
        raise BadHours(f"/trsrv/secdef/schedule: {text[:40]!r} is no date") from None


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        raise BadHours(f"/trsrv/secdef/schedule: time zone {str(name)[:40]!r} is not known here") from None
