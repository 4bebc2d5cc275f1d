"""Turns to log in: how far apart workers log in that were lost together."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_worker.account.login_slots import LONGEST, SPACING, next_slot, reserve_slot
from support.clock import run
from support.lease_api import ApiServer

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NAME = "ib-account-paper-logins"


@pytest.mark.parametrize(
    ("last", "slot"),
    [
        (None, 0),
        (-3600, 0),  # a single lost worker does not wait
        (-2, 0),
        (-0.5, 1.5),
        (0, 2),
        (100, 102),
        (LONGEST.total_seconds() + 1, 0),  # no queue is so long: a clock was wrong
    ],
)
def test_next_slot(last: float | None, slot: float) -> None:
    given = None if last is None else NOW + timedelta(seconds=last)
    assert next_slot(given, NOW) == NOW + timedelta(seconds=slot)


@given(st.lists(st.floats(0, 30), max_size=40))
def test_turns_are_spaced_and_nobody_waits_longer_than_the_queue(waits: list[float]) -> None:
    now, last = NOW, None
    turns: list[datetime] = []
    for wait in waits:
        now += timedelta(seconds=wait)
        ahead = sum(moment > now - SPACING for moment in turns)
        last = next_slot(last, now)
        assert now <= last <= now + ahead * SPACING
        turns.append(last)
    assert all(second - first >= SPACING for first, second in pairwise(turns))


def test_forty_that_want_to_log_in_at_once_get_a_turn_each() -> None:
    server = ApiServer()
    server.create(NAME)

    async def all_of_them() -> list[datetime]:
        return sorted(await asyncio.gather(*(reserve_slot(server, NAME) for _ in range(40))))

    begun = datetime.now(UTC)
    turns = run(all_of_them())
    assert all(second - first >= SPACING for first, second in pairwise(turns))
    assert turns[0] - begun < timedelta(seconds=5)
    assert turns[-1] - turns[0] < 45 * SPACING


@pytest.mark.parametrize("text", ["", "soon", "2026-11-21T09:00:00"])
def test_a_time_that_is_none_is_no_turn(text: str) -> None:
    server = ApiServer()
    server.create(NAME)
    server.objects[NAME]["spec"]["renewTime"] = text
    assert run(reserve_slot(server, NAME)) <= datetime.now(UTC)


def test_who_can_have_no_turn_logs_in_without() -> None:
    server = ApiServer()
    assert run(reserve_slot(server, NAME)) <= datetime.now(UTC)  # an operator of an older version made none
    server.create(NAME)
    server.down = True
    assert run(reserve_slot(server, NAME)) <= datetime.now(UTC)
