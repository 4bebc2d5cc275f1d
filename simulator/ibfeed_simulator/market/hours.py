"""Trading hours: always, so that a demonstration works on a Sunday, or the exchange's hours.

CME Globex, NYMEX, COMEX and CBOT are alike here: Sunday to Friday, 17:00 to 16:00 Chicago time, with an hour's break.
HKFE has two sessions by day, and one at night that counts to the next trading day: Friday's night is Monday's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from ibfeed_simulator.market.calendar import holidays

Hours = Literal["always", "exchange"]

_GLOBEX: Final = ZoneInfo("America/Chicago")
_HONG_KONG: Final = ZoneInfo("Asia/Hong_Kong")
HKFE: Final = "HKFE"
_OPEN: Final = time(17)
_CLOSE: Final = time(16)
_MINUTE: Final = timedelta(minutes=1)  # a schedule in HHMM can't say 24:00


@dataclass(frozen=True)
class TradingSession:
    """A session of trading day ``day``: it opens the evening before and closes on the day."""

    day: date
    opening: datetime
    closing: datetime


def session_of(hours: Hours, day: date, zone: ZoneInfo = _GLOBEX) -> TradingSession | None:
    """Return the session of trading day ``day``, or None. ``zone`` is that of the days if trading never ends."""
    if hours == "always":
        start = datetime.combine(day, time(0), zone)
        return TradingSession(day, start, start + timedelta(days=1) - _MINUTE)
    if day.weekday() >= 5 or day in holidays(day.year):
        return None
    evening = day - timedelta(days=1)
    return TradingSession(day, datetime.combine(evening, _OPEN, _GLOBEX), datetime.combine(day, _CLOSE, _GLOBEX))


def sessions_of(hours: Hours, exchange: str, day: date, zone: ZoneInfo) -> list[TradingSession]:
    """Return the sessions of trading day ``day`` at an exchange, in order. A day without trading has none."""
    if hours == "exchange" and exchange == HKFE:
        return _at_hkfe(day)
    session = session_of(hours, day, zone)
    return [session] if session is not None else []


def _at_hkfe(day: date) -> list[TradingSession]:
    if day.weekday() >= 5:
        return []
    before = day - timedelta(days=3 if day.weekday() == 0 else 1)
    spans = ((before, time(17, 15), time(3)), (day, time(9, 15), time(12)), (day, time(13), time(16, 30)))
    found = []
    for when, opening, closing in spans:
        ends = when if opening < closing else when + timedelta(days=1)
        begun, ended = datetime.combine(when, opening, _HONG_KONG), datetime.combine(ends, closing, _HONG_KONG)
        found.append(TradingSession(day, begun, ended))
    return found


def is_open(hours: Hours, now: float) -> bool:
    if hours == "always":
        return True
    moment = datetime.fromtimestamp(now, _GLOBEX)
    for day in (moment.date(), moment.date() + timedelta(days=1)):
        session = session_of(hours, day)
        if session is not None and session.opening <= moment < session.closing:
            return True
    return False
