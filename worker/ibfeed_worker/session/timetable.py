"""The timetable of the shard's contracts. It asks IB once for each product and day, within the pacing budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from ibfeed_api.backoff import Backoff
from ibfeed_api.instrument import Product
from ibfeed_api.log import Log
from ibfeed_api.shard import Entry
from ibfeed_worker.hours import parse
from ibfeed_worker.hours.hours import Hours
from ibfeed_worker.session.client import SessionClient, describe
from ibfeed_worker.session.responses import AuthStatus, NoSession, Throttled, Unavailable, Unknown

_log: Final = Log(__name__)
_LOOK_S: Final = 5.0
_FIRST_PAUSE_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 1800.0
_DAY_ENDS_S: Final = 22 * 3600  # UTC: by then the day's sessions are over (docs/architecture/universe.md)

Key = tuple[str, Product]


@dataclass(slots=True)
class _Known:
    """The known hours of one product."""

    hours: Hours
    day: int  # session day on which it was asked for; -1: not yet
    pause: Backoff
    next_at: float  # by the loop's clock


class Timetable:
    """The trading hours of all contracts, for the life of the process.

    Hours that are not known are asked for again after growing pauses, and no caller waits for them.
    """

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}

    def hours(self, entry: Entry) -> Hours:
        """Return the known hours; empty ones if nothing is known."""
        known = self._known.get(_key(entry))
        return known.hours if known is not None else Hours()

    async def keep(self, rest: SessionClient, entries: Callable[[], Iterable[Entry]]) -> NoReturn:
        """Ask for the hours that ``entries`` lack, for as long as there is a session."""
        while True:
            for entry in {_key(entry): entry for entry in entries()}.values():
                await self._refresh(rest, entry)
            await asyncio.sleep(_LOOK_S)

    async def _refresh(self, rest: SessionClient, entry: Entry) -> None:
        now, today = asyncio.get_running_loop().time(), _session_day(time.time())
        known = self._known.setdefault(
            _key(entry), _Known(Hours(), -1, Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S), float("-inf"))
        )
        if known.day == today or now < known.next_at:
            return
        try:
            found = await _ask(rest, entry)
        except parse.HoursError as problem:
            known.next_at = now + known.pause.next()
            _log.warning(
                "trading hours are not known", root=entry.root, product=str(entry.product), problem=str(problem)
            )
            return
        known.pause.reset()
        known.hours, known.day = found, today
        _log.info("trading hours", root=entry.root, product=str(entry.product), spans=len(found.spans))


async def _ask(rest: SessionClient, entry: Entry) -> Hours:
    """Ask by contract, whose answer has the holidays; else by venue. Raises HoursError."""
    try:
        return parse.of_contract(_checked(await rest.get("/contract/trading-schedule", {"conid": str(entry.conid)})))
    except parse.HoursError as problem:
        query = {"assetClass": "FUT", "symbol": entry.root, "exchange": entry.exchange}
        found = await rest.get("/trsrv/secdef/schedule", {name: value for name, value in query.items() if value})
        try:
            return parse.of_venue(_checked(found), entry.exchange, datetime.now(UTC).date())
        except parse.HoursError as other:
            raise parse.HoursError(f"{problem}; {other}") from None


def _checked(found: Any) -> Any:
    if isinstance(found, NoSession | Unavailable | Throttled | Unknown):
        raise parse.HoursError(describe(found))
    if isinstance(found, AuthStatus):
        raise parse.HoursError(found.message)
    return found


def _key(entry: Entry) -> Key:
    return entry.root, entry.product


def _session_day(now_s: float) -> int:
    return int(now_s - _DAY_ENDS_S) // 86_400
