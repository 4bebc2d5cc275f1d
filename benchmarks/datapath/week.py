"""What goes wrong in a simulated week, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import cycle
from typing import Final
from zoneinfo import ZoneInfo

# A Wednesday; CLZ6 stops trading on the Friday after, and the weekend with its maintenance lies within.
START: Final = datetime(2026, 11, 18, 12, tzinfo=UTC)
_REGION: Final = ZoneInfo("America/New_York")
_RESET: Final = time(1, 0)  # IB's daily reset of all sessions
_MAINTENANCE: Final = time(23, 0)  # on Saturday evening
_SATURDAY: Final = 5
_EVERY: Final = timedelta(hours=2, minutes=50)  # between two faults: the hour of the day wanders

KAFKA_AWAY: Final = "kafka_away"


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the venue's fault table, or ``kafka_away``. ``worker``: whose user it meets; None: all of them."""

    name: str
    worker: int | None = None
    value: str | float | None = None
    seconds: float | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    at: datetime
    what: str  # for people
    faults: tuple[Fault, ...]


_RESET_FAULTS: Final = (Fault("daily_reset", value=90),)
_MAINTENANCE_FAULTS: Final = (Fault("expire_sso"), Fault("maintenance", seconds=2 * 3600.0))
_ROTATION: Final[tuple[tuple[str, tuple[Fault, ...]], ...]] = (
    ("websocket closed", (Fault("drop_websocket", 0),)),
    ("subscriptions expire in silence", (Fault("expire_subscriptions", 1),)),
    ("gateway killed", (Fault("kill_gateway", 0),)),
    ("someone else logs in", (Fault("compete", 1),)),
    ("Kafka is away for 10 min", (Fault(KAFKA_AWAY, seconds=600),)),
    ("brokerage session lost", (Fault("expire_brokerage", 0),)),
    ("address in the penalty box", (Fault("penalty"),)),
    ("websocket cut", (Fault("abort_websocket", 1),)),
    ("login ended", (Fault("expire_sso", 0),)),
    ("heartbeat over a dead feed, 5 min", (Fault("silent_feed", 1, seconds=300),)),
    ("upstream hangs for a minute", (Fault("hang", 0, seconds=60),)),
    ("no heartbeats for 2 min", (Fault("no_heartbeat", 1, seconds=120),)),
    ("tickle answers 500 for 3 min", (Fault("tickle_500", 0, seconds=180),)),
    ("tickle answers 503 for 2 min", (Fault("tickle_503", 1, seconds=120),)),
    ("tickle knows no session, once", (Fault("no_session", 0, count=1),)),
    ("garbage in REST and stream", (Fault("garbage_rest", 1, seconds=30), Fault("garbage_frame", 1))),
    ("frames that are no UTF-8, or too big", (Fault("non_utf8_frame", 0), Fault("big_frame", 1))),
    ("slow upstream for 3 min", (Fault("slow", 0, value=4, seconds=180),)),
    ("maintenance of one user's server", (Fault("maintenance", 1, seconds=400),)),
    ("both websockets closed at once", (Fault("drop_websocket"),)),
)


def happenings(begin: datetime, length: timedelta) -> list[Happening]:
    """All of them from ``begin`` on, in order; none in the first and the last 30 minutes."""
    end = begin + length - timedelta(minutes=30)
    first = begin + timedelta(minutes=30)
    found = [*_resets(begin, end), *_rotation(first, end)]
    return sorted((one for one in found if first <= one.at <= end), key=lambda one: one.at)


def _resets(begin: datetime, end: datetime) -> Iterator[Happening]:
    day = begin.astimezone(_REGION).date()
    while (at := datetime.combine(day, _RESET, _REGION).astimezone(UTC)) <= end:
        yield Happening(at, "daily reset", _RESET_FAULTS)
        if day.weekday() == _SATURDAY:
            evening = datetime.combine(day, _MAINTENANCE, _REGION).astimezone(UTC)
            yield Happening(evening, "Saturday's maintenance, 2 h", _MAINTENANCE_FAULTS)
        day += timedelta(days=1)


def _rotation(first: datetime, end: datetime) -> Iterator[Happening]:
    at = first
    for what, faults in cycle(_ROTATION):
        if at > end:
            return
        yield Happening(at, what, faults)
        at += _EVERY
