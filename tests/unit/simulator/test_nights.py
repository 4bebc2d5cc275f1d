"""What time does to sessions: their age, idleness, IB's daily reset, the penalty of an address."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import pytest

from ibfeed_simulator.venue.clock import DailyReset
from support.inprocess_venue import Stand, Start

DAY = 86_400.0


async def pass_by(stand: Stand, seconds: float) -> None:
    """Turn the clock and let the venue see to its sessions, as it does every five seconds."""
    how = {"advance_seconds": seconds, "ageing": True}
    async with stand.control.post("/control/clock", json=how) as answer:
        assert answer.status == 200
    stand.venue.look_after_sessions()


async def test_a_session_ends_after_a_day_and_says_how_long_it_has(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    _, young = await session.post("/tickle")
    await pass_by(stand, DAY - 3600)
    _, old = await session.post("/tickle")
    assert young["ssoExpires"] - old["ssoExpires"] == pytest.approx((DAY - 3600) * 1000, abs=5000)
    assert old["iserver"]["authStatus"]["authenticated"] is True
    await pass_by(stand, 3601)
    assert (await session.post("/tickle"))[0] == 401


async def test_a_jump_to_another_day_leaves_sessions_alone_unless_they_shall_age(start: Start) -> None:
    stand = await start(daily_reset=time(1))
    session = await (await stand.log_in()).open()
    async with stand.control.post("/control/clock", json={"advance_seconds": 30 * DAY}) as answer:
        assert answer.status == 200
    stand.venue.look_after_sessions()
    assert (await session.post("/tickle"))[0] == 200


async def test_at_the_daily_reset_all_sessions_end_and_nobody_is_let_in_for_a_while(start: Start) -> None:
    stand = await start(daily_reset=time(1), reset_seconds=60)
    at = {"at": "2026-11-21T00:59:00-05:00"}
    async with stand.control.post("/control/clock", json=at) as answer:
        assert answer.status == 200
    sessions = [await (await stand.log_in(name)).open() for name in ("paper1", "paper2")]
    await pass_by(stand, 30)
    assert (await sessions[0].post("/tickle"))[0] == 200
    await pass_by(stand, 31)
    assert stand.venue.sessions.all() == []
    for session in sessions:
        assert (await session.post("/tickle"))[0] == 503
    stand.venue.conditions.clear()
    again = await (await stand.log_in()).open()
    await pass_by(stand, 3600)
    assert (await again.post("/tickle"))[0] == 200, "once a day"


async def test_a_penalty_silences_the_address_with_all_users_behind_it(start: Start) -> None:
    stand = await start(penalty_seconds=60)
    sessions: list[Any] = [await (await stand.log_in(name)).open() for name in ("paper1", "paper2")]
    socket, conid = await sessions[1].socket(), await sessions[1].conid()
    await stand.fault("penalty", username="paper2")
    for session in sessions:
        assert (await session.post("/tickle"))[0] == 429
    assert "31" in await socket.subscribe(conid), "streams go on"


def test_resets_come_once_a_day_whatever_the_clock_does() -> None:
    noon = datetime(2026, 11, 20, 17, tzinfo=UTC).timestamp()
    reset = DailyReset(time(1), noon)
    assert not reset.is_over(noon + 12 * 3600)
    assert reset.is_over(noon + 14 * 3600)
    assert not reset.is_over(noon + 15 * 3600)
    assert reset.is_over(noon + 10 * DAY)
    assert not reset.is_over(noon + 10 * DAY + 1)
