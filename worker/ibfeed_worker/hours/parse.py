"""Parser of IB's two answers about trading hours. Pure, and strict: misread hours would take a quiet market for dead.

``/contract/trading-schedule`` names the coming days, with times in seconds since 1970. ``/trsrv/secdef/schedule`` names
weekdays (20000101 is any Saturday, 20000107 any Friday) and single dates that override them. Its times are the
exchange's wall times. A day from 0000 to 0000 is closed, as recorded for Saturdays, Sundays and holidays.

Wall times name no date. A session that opens later than it closes opens on the evening before its trading day, in
Chicago on Sunday for Monday. In Asia a night session counts to the trading day after it, so Monday's night is Friday's.
Recorded in TWS of HKFE: 20180406:1715-20180407:0100 is the first session of Monday, 9 April.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from ibfeed_worker.hours.hours import Hours, Span

_ANY_SATURDAY: Final = date(2000, 1, 1)
_SATURDAY: Final = 5
_DAY: Final = timedelta(days=1)
_DAYS_BACK: Final = 1
_DAYS_AHEAD: Final = 7
_LONGEST_S: Final = 4 * 86_400  # a session's longest; a longer one is a misunderstanding
_LONGEST_BREAK: Final = 14  # days between two trading days
_ASIA: Final = timedelta(hours=5)  # ahead of UTC, or more: the week of these exchanges begins on Monday morning

Times = tuple[int, int]
"""A session's opening and closing, in minutes of the exchange's day."""


class HoursError(Exception):
    """IB's answer can't be read as trading hours."""


def of_contract(found: Any) -> Hours:
    """Read ``/contract/trading-schedule?conid=``: a day that is not named has no trading. Raises HoursError."""
    days = found.get("schedules") if isinstance(found, Mapping) else None
    if not isinstance(days, Mapping):
        raise HoursError("/contract/trading-schedule has no schedules")
    spans = []
    for name, day in days.items():
        if not isinstance(day, Mapping):
            raise HoursError(f"/contract/trading-schedule: {name!r} is no day")
        listed = day.get("extended_hours") or day.get("liquid_hours") or []
        if not isinstance(listed, list):
            raise HoursError(f"/contract/trading-schedule: {name!r} has no list of hours")
        times = [(_seconds(hours, "opening"), _seconds(hours, "closing")) for hours in listed]
        spans += [_span(opening, closing) for opening, closing in times if opening != closing]
    return _checked(spans, "/contract/trading-schedule")


def of_venue(found: Any, exchange: str, today: date) -> Hours:
    """Read ``/trsrv/secdef/schedule``: from the day before ``today`` to a week after it. Raises HoursError.

    Of several venues, that of ``exchange`` is taken if the answer names exchanges, else the first.
    """
    venues = [venue for venue in found if isinstance(venue, Mapping)] if isinstance(found, list) else []
    venue = next((one for one in venues if one.get("exchange") == exchange), next(iter(venues), None))
    if venue is None:
        raise HoursError("/trsrv/secdef/schedule names no venue")
    zone = _zone(venue.get("timezone"))
    listed = venue.get("schedules")
    days: dict[date, Mapping[str, Any]] = {}
    for day in listed if isinstance(listed, list) else ():
        if isinstance(day, Mapping):
            days[_date(day.get("tradingScheduleDate"))] = day

    def times_of(when: date) -> list[Times]:
        usual = _ANY_SATURDAY + (when.weekday() - _SATURDAY) % 7 * _DAY
        return _times(days.get(when, days.get(usual, {})), when)

    spans: list[Span] = []
    for offset in range(-_DAYS_BACK, _DAYS_AHEAD + 1):
        spans += _spans(today + offset * _DAY, times_of, zone)
    return _checked(spans, "/trsrv/secdef/schedule")


def _checked(spans: list[Span], source: str) -> Hours:
    if not spans:
        raise HoursError(f"{source} names no hours")
    return Hours.of(spans)


def _times(day: Mapping[str, Any], when: date) -> list[Times]:
    """Return the day's sessions; none for a closed day."""
    listed = day.get("tradingtimes") or day.get("sessions") or []
    if not isinstance(listed, list):
        raise HoursError(f"/trsrv/secdef/schedule: no list of times for {when}")
    times = [_of_wall(one, when) for one in listed]
    return [one for one in times if one != (0, 0)]


def _of_wall(times: Any, when: date) -> Times:
    if not isinstance(times, Mapping):
        raise HoursError(f"/trsrv/secdef/schedule: no times for {when}")
    return _minutes(times.get("openingTime")), _minutes(times.get("closingTime"))


def _spans(when: date, times_of: Callable[[date], list[Times]], zone: ZoneInfo) -> list[Span]:
    """Return the spans of trading day ``when``. In Asia the night that begins on its evening replaces its own night."""
    times = times_of(when)
    nights = _nights(times) if _is_in_asia(zone, when) else set()
    spans = []
    for opening, closing in times:
        if (opening, closing) not in nights:
            first = when if opening < closing else when - _DAY
            spans.append(_span(_moment(first, opening, zone), _moment(when, closing, zone)))
    # The night between two trading days may be named by this day, the next, or both. The difference matters only before
    # a holiday without a night. A night that just one of them names is left out, since its silence could not be judged.
    for opening, closing in nights & _nights(_next_trading_day(when, times_of)):
        spans.append(_span(_moment(when, opening, zone), _moment(when + _DAY, closing, zone)))
    return spans


def _nights(times: list[Times]) -> set[Times]:
    """Return the sessions that close before another one of the day opens: these are no part of the day itself."""
    return {
        (opening, closing)
        for opening, closing in times
        if opening > closing and any(closing < other < opening for other, _ in times)
    }


def _next_trading_day(when: date, times_of: Callable[[date], list[Times]]) -> list[Times]:
    following = (times_of(when + days * _DAY) for days in range(1, _LONGEST_BREAK + 1))
    return next((times for times in following if times), [])


def _is_in_asia(zone: ZoneInfo, when: date) -> bool:
    offset = datetime.combine(when, time(12), zone).utcoffset()
    return offset is not None and offset >= _ASIA


def _moment(day: date, minutes: int, zone: ZoneInfo) -> float:
    days, minutes = divmod(minutes, 24 * 60)
    return datetime.combine(day + days * _DAY, time(minutes // 60, minutes % 60), zone).timestamp()


def _span(opening: float, closing: float) -> Span:
    if not 0 < closing - opening <= _LONGEST_S:
        raise HoursError(f"hours from {opening:.0f} to {closing:.0f}")
    return Span(opening, closing)


def _seconds(hours: Any, name: str) -> float:
    value = hours.get(name) if isinstance(hours, Mapping) else None
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal() and len(text) == 10):
        raise HoursError(f"/contract/trading-schedule: {name} is {text[:40]!r}")
    return float(text)


def _minutes(value: Any) -> int:
    """Read ``1730``; ``2400`` is the day's end."""
    text = str(value)
    if not (len(text) == 4 and text.isascii() and text.isdecimal()):
        raise HoursError(f"/trsrv/secdef/schedule: {text[:40]!r} is no time")
    minutes = int(text[:2]) * 60 + int(text[2:])
    if int(text[2:]) > 59 or minutes > 24 * 60:
        raise HoursError(f"/trsrv/secdef/schedule: {text!r} is no time")
    return minutes


def _date(value: Any) -> date:
    text = str(value)
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a date of the exchange
    except ValueError:
        raise HoursError(f"/trsrv/secdef/schedule: {text[:40]!r} is no date") from None


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        raise HoursError(f"/trsrv/secdef/schedule: time zone {str(name)[:40]!r} is not known here") from None
