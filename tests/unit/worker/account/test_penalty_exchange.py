"""Workers tell each other of an address that is in IB's penalty box."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.labels import ANNOTATION_PENALTIES
from ibfeed_worker.account import penalties
from ibfeed_worker.account.penalties import LONGEST
from ibfeed_worker.account.penalty_exchange import LOOK_EVERY_S, PenaltyExchange
from ibfeed_worker.session.pacing import PENALTY_S, Budget
from support.clock import run
from support.lease_api import ApiServer

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NAME = "ib-account-paper-logins"
moments = st.integers(1, int(LONGEST.total_seconds())).map(lambda seconds: NOW + timedelta(seconds=seconds))


class Worker:
    def __init__(self, server: ApiServer, address: str, node: str) -> None:
        self.budget = Budget(random.Random(1))
        self.silence = PenaltyExchange(server, NAME, self.budget, node)
        if address:
            self.silence.learn(address)

    def get_429(self) -> None:
        self.budget.penalise(asyncio.get_running_loop().time())
        self.silence.punished()

    @property
    def silent_s(self) -> float:
        return self.budget.penalty_left(asyncio.get_running_loop().time())


@pytest.fixture
def server() -> ApiServer:
    server = ApiServer()
    server.create(NAME)
    return server


@pytest.mark.parametrize(
    ("address", "node", "hears"),
    [
        pytest.param("192.0.2.1", "b", True, id="another node behind one NAT"),
        pytest.param("", "a", True, id="same node, not logged in yet"),
        pytest.param("", "b", False, id="not logged in, another node"),
        pytest.param("192.0.2.9", "b", False, id="another address"),
    ],
)
def test_who_shares_the_address_is_silent_too(server: ApiServer, address: str, node: str, hears: bool) -> None:
    async def act() -> None:
        one, other = Worker(server, "192.0.2.1", "a"), Worker(server, address, node)
        tasks = [asyncio.create_task(worker.silence.run()) for worker in (one, other)]
        await asyncio.sleep(1)
        one.get_429()
        await asyncio.sleep(LOOK_EVERY_S * 1.3)
        assert (other.silent_s > PENALTY_S - 60) is hears
        for task in tasks:
            task.cancel()

    run(act())


def test_what_is_heard_is_not_told_again(server: ApiServer) -> None:
    async def act() -> None:
        one, other = Worker(server, "192.0.2.1", "a"), Worker(server, "192.0.2.1", "b")
        tasks = [asyncio.create_task(worker.silence.run()) for worker in (one, other)]
        one.get_429()
        await asyncio.sleep(60)
        told = server.objects[NAME]["metadata"]["annotations"][ANNOTATION_PENALTIES]
        assert other.silent_s > 0
        await asyncio.sleep(300)
        assert server.objects[NAME]["metadata"]["annotations"][ANNOTATION_PENALTIES] == told
        for task in tasks:
            task.cancel()

    run(act())


def test_an_api_server_that_is_away_is_told_later(server: ApiServer) -> None:
    async def act() -> None:
        one = Worker(server, "192.0.2.1", "a")
        task = asyncio.create_task(one.silence.run())
        server.down = True
        one.get_429()
        await asyncio.sleep(60)
        server.down = False
        await asyncio.sleep(LOOK_EVERY_S * 1.5)
        assert "192.0.2.1" in server.objects[NAME]["metadata"]["annotations"][ANNOTATION_PENALTIES]
        task.cancel()

    run(act())


@given(st.dictionaries(st.text(max_size=40), moments, max_size=80), st.text(min_size=1, max_size=40), moments)
def test_a_new_penalty_is_there_and_none_is_shortened(known: dict[str, datetime], who: str, until: datetime) -> None:
    found = penalties.added(known, {who}, until)
    assert len(found) <= 64
    if who in found:
        assert penalties.left(found, {who}, NOW) >= until - NOW
    assert all(found[address] >= known[address] for address in found if address in known)
    assert penalties.parse(penalties.text(found), NOW) == found


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"a": 7}', '{"a": "soon"}', '{"a": "2026-11-21T09:05:00"}'])
def test_what_makes_no_sense_silences_nobody(text: str) -> None:
    assert penalties.parse(text, NOW) == {}


def test_what_a_wrong_clock_wrote_silences_nobody() -> None:
    text = penalties.text({"past": NOW - timedelta(seconds=1), "far": NOW + timedelta(days=1)})
    assert penalties.parse(text, NOW) == {}
