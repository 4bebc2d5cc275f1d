from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ibfeed_simulator.venue.faults import CATALOGUE, Action, Condition, Conditions
from ibfeed_simulator.venue.settings import Settings
from ibfeed_simulator.venue.truth import Receiver, Truth
from ibfeed_simulator.venue.venue import Venue
from support.inprocess_venue import USERS, Start


def test_every_fault_has_a_row_and_every_action_is_done_by_somebody() -> None:
    assert set(CATALOGUE) == {*Condition, *Action}
    assert set(Venue(Settings(users=USERS, replay=False)).actions) == set(Action)


def test_scope_count_and_time_of_a_condition() -> None:
    conditions = Conditions()
    conditions.set(Condition.SLOW, "paper1", count=2)
    assert not conditions.active(Condition.SLOW, "paper2")
    assert conditions.take_fault(Condition.SLOW, "paper1")
    assert conditions.take_fault(Condition.SLOW, "paper1")
    assert not conditions.take_fault(Condition.SLOW, "paper1")
    conditions.set(Condition.SLOW, seconds=0)
    assert not conditions.active(Condition.SLOW, "paper1")
    conditions.set(Condition.SLOW)
    assert conditions.active(Condition.SLOW, "paper2")
    conditions.clear()
    assert conditions.quiet


async def test_state_says_who_is_logged_in_and_what_is_subscribed(start: Start) -> None:
    stand = await start()
    await stand.submit(password="wrong")
    session = await (await stand.log_in()).open()
    conid = await session.conid()
    await (await session.socket()).subscribe(conid)
    async with stand.control.get("/control/state") as answer:
        text = await answer.text()
        users = (await answer.json())["users"]
    assert users["paper1"]["logged_in"]
    assert (users["paper1"]["logins"], users["paper1"]["failed_logins"], users["paper1"]["lines"]) == (1, 1, 1)
    assert users["paper1"]["websockets"][0]["subscriptions"] == [conid]
    assert not users["paper2"]["logged_in"]
    assert "secret" not in text


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("nothing", {}, 404),
        ("slow", {"username": "nobody"}, 404),
        ("slow", {"how": "very"}, 400),
        ("compete", {"value": "x"}, 400),
        ("page_changed", {"username": "paper1"}, 400),
    ],
)
async def test_bad_faults_are_refused(start: Start, name: str, body: dict[str, str], status: int) -> None:
    stand = await start()
    async with stand.control.post(f"/control/faults/{name}", json=body) as answer:
        assert answer.status == status
        assert "error" in await answer.json()


async def test_a_gateway_is_killed_once(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    await session.socket()
    assert (await stand.fault("kill_gateway", username="paper1"))["active"] == []
    other = await stand.log_in("paper2")
    assert len((await stand.fault("kill_gateway", username="paper2"))["active"]) == 1
    assert (await other.post("/tickle"))[0] == 503
    assert (await other.post("/tickle"))[0] == 200


async def test_a_hang_answers_nobody_until_it_ends(start: Start) -> None:
    stand = await start()
    session = await stand.log_in()
    await stand.fault("hang", username="paper1")
    asking = asyncio.create_task(session.post("/tickle"))
    await asyncio.sleep(0.3)
    assert not asking.done()
    await stand.control.delete("/control/faults/hang")
    assert (await asyncio.wait_for(asking, 10))[0] == 200


def test_the_ring_says_what_it_has_lost(tmp_path: Path) -> None:
    receiver = Receiver.of("paper1", "s", 1)
    truth = Truth(tmp_path / "truth.jsonl", ring=3)
    for number in range(5):
        truth.add(1, "delta", 7, number, b"{}", (receiver,))
    entries, lost = truth.since(1, 10)
    assert ([entry.number for entry in entries], lost) == ([3, 4, 5], 2)
    assert [entry.number for entry in truth.since(4, 1)[0]] == [4]
    assert truth.since(6, 10) == ([], 0)
    truth.close()
    assert len((tmp_path / "truth.jsonl").read_text().splitlines()) == 5
