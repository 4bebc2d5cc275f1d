"""The stand-in's two answers about one exchange: however they are written, they must be read as the same hours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from ibfeed_simulator.venue import app
from ibfeed_simulator.venue.settings import Settings
from ibfeed_simulator.venue.venue import Venue
from ibfeed_worker.hours.hours import Hours
from ibfeed_worker.hours.parse import of_contract, of_venue
from support.inprocess_venue import USERS, Session, Stand

BEGIN = datetime(2026, 11, 20, 4, tzinfo=UTC)  # a Friday; Thanksgiving is in the days that follow


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with AsyncExitStack() as stack:
        venue = Venue(Settings(users=USERS, hours="exchange", replay=False))
        venue.set_clock(BEGIN.timestamp())
        client: TestClient[Any, Any] = TestClient(TestServer(app.public(venue)), cookie_jar=aiohttp.DummyCookieJar())
        control: TestClient[Any, Any] = TestClient(TestServer(app.control(venue)))
        await stack.enter_async_context(client)
        await stack.enter_async_context(control)
        yield await Stand(venue, client, control).log_in()


def open_minutes(hours: Hours, begin: datetime, end: datetime) -> list[str]:
    """Where it opens and closes, minute by minute."""
    found, was, at = [], None, begin
    while at < end:
        now = hours.open_since(at.timestamp()) is not None
        if now != was and was is not None:
            found.append(f"{at:%a %H:%M} {'opens' if now else 'closes'}")
        was, at = now, at + timedelta(minutes=1)
    return found


@pytest.mark.parametrize("root", ["CL", "ES", "HSI"])
async def test_both_answers_say_the_same_hours(session: Session, root: str) -> None:
    conid = str(await session.conid(root))
    _, by_venue = await session.get("/trsrv/secdef/schedule", assetClass="FUT", symbol=root)
    _, by_contract = await session.get("/contract/trading-schedule", conid=conid)
    wall = of_venue(by_venue, by_venue[0]["exchange"], date(2026, 11, 20))
    epoch = of_contract(by_contract)
    begin, end = BEGIN, BEGIN + timedelta(days=5)
    assert open_minutes(wall, begin, end) == open_minutes(epoch, begin, end)


async def test_the_weekend_of_hong_kong(session: Session) -> None:
    _, found = await session.get("/trsrv/secdef/schedule", assetClass="FUT", symbol="HSI")
    hours = of_venue(found, "HKFE", date(2026, 11, 20))
    assert open_minutes(hours, BEGIN, datetime(2026, 11, 23, 9, tzinfo=UTC)) == [
        "Fri 05:00 opens",  # UTC; Hong Kong is eight hours ahead
        "Fri 08:30 closes",
        "Fri 09:15 opens",
        "Fri 19:00 closes",
        "Mon 01:15 opens",
        "Mon 04:00 closes",
        "Mon 05:00 opens",
        "Mon 08:30 closes",
    ]
