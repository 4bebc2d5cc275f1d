"""The nightly logins as the operator sees them: a real API server, the operator as a process, hollow workers.

Each worker in turn is relieved, logs out and in, and has its contracts back; no update may be lost or doubled.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from ibfeed_worker.session.relogin import HEIRS_S
from support.control_plane import ControlPlane
from support.hollow import Crew
from support.hollow_feed import Feed, eventually, moving, streaming
from support.operator_process import Operator

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOGIN_S = 7.0  # longer than the grace that any lost session has


def of(feed: Feed, pod: str) -> set[int]:
    return {conid for conid, publisher in feed.published().items() if publisher == pod}


async def relieved(feed: Feed, pod: str) -> None:
    """Until a worker owes nothing, and then until its heirs publish, for a while: see ``Relogin``."""

    async def owes() -> bool:
        entries = (await feed.shards())[pod]["spec"].get("contracts", ())
        return any(entry["state"] == "Active" for entry in entries) or bool(of(feed, pod))

    await eventually(owes, wanted=False, within=60, what=f"{pod} is relieved")

    async def holds() -> bool:
        return bool((await feed.shards())[pod]["spec"].get("contracts", ()))

    with contextlib.suppress(AssertionError):  # what nobody has a line for stays in its hands
        await eventually(holds, wanted=False, within=HEIRS_S, what="its heirs publish")


async def log_in_anew(feed: Feed, pod: str) -> None:
    """What the worker does once it is relieved."""
    worker = feed.crew.workers[pod]
    await relieved(feed, pod)
    worker.session = "LoggingIn"
    await asyncio.sleep(LOGIN_S)
    worker.session, worker.reason = "Streaming", ""


def at_home(feed: Feed, before: dict[int, str]) -> Any:
    async def home() -> bool:
        lent = [shard["spec"].get("home") for shard in (await feed.shards()).values()]
        return feed.published() == before and not any(lent) and not await moving(feed)

    return home


@pytest.mark.parametrize("policy", ["Always", "OnScale", "Never"])
async def test_a_night_moves_nothing_for_good_and_loses_nothing(
    crew: Crew, plane: ControlPlane, operator: Operator, policy: str
) -> None:
    name = f"night-{policy.lower()}"
    async with streaming(crew, plane, name, 4, 4, 4, rebalance=policy) as feed:
        before = feed.published()
        shown = {kind: await feed.condition(kind) for kind in ("Covered", "Ready")}
        await asyncio.sleep(1.1)  # so that a condition that flips, and flips back, gets another time
        pods = sorted({*before.values()})
        for pod in pods:
            crew.workers[pod].reason = "ReloginDue"
        turns = [asyncio.create_task(log_in_anew(feed, pod)) for pod in pods]  # all at once: one is let go at a time
        while not all(turn.done() for turn in turns):
            assert sum(crew.workers[pod].session != "Streaming" for pod in pods) <= 1
            await asyncio.sleep(0.05)
        for turn in turns:
            turn.result()
        await eventually(at_home(feed, before), within=20, what="everything is where it was")
        await feed.ready(12)
        assert crew.lost(name) == []
        for kind, first in shown.items():
            now = await feed.condition(kind)
            assert (now["status"], now["lastTransitionTime"]) == ("True", first["lastTransitionTime"]), kind


async def test_an_operator_that_dies_meanwhile_has_forgotten_nothing(
    crew: Crew, plane: ControlPlane, operator: Operator
) -> None:
    async with streaming(crew, plane, "nightshift", 6, 6, rebalance="Never") as feed:
        before = feed.published()
        crew.workers["nightshift-0"].reason = "ReloginDue"
        turn = asyncio.create_task(log_in_anew(feed, "nightshift-0"))
        await relieved(feed, "nightshift-0")
        operator.kill()
        operator.start()
        await turn
        await eventually(at_home(feed, before), within=40, what="everything is where it was")
        assert crew.lost("nightshift") == []


async def test_what_nobody_has_a_line_for_is_let_go_for_the_login_and_nothing_else(
    crew: Crew, plane: ControlPlane, operator: Operator
) -> None:
    accounts = {"secretRef": {"name": "tightnight-accounts"}, "first": 1, "count": 6, "linesPerAccount": 7}
    async with streaming(crew, plane, "tightnight", 6, 6, accounts=accounts) as feed:
        before = feed.published()
        theirs = of(feed, "tightnight-1")
        crew.workers["tightnight-0"].reason = "ReloginDue"
        turn = asyncio.create_task(log_in_anew(feed, "tightnight-0"))
        while not turn.done():
            assert theirs <= of(feed, "tightnight-1"), "nobody else's contracts give way"
            await asyncio.sleep(0.05)
        turn.result()
        await eventually(at_home(feed, before), within=20, what="everything is where it was")
        holed = {int(line.split(":")[0]) for line in crew.lost("tightnight")}
        assert len(holed) == 5 and holed <= {conid for conid, pod in before.items() if pod == "tightnight-0"}


async def test_a_feed_of_one_worker_does_without_for_as_long_as_the_login_takes(
    crew: Crew, plane: ControlPlane, operator: Operator
) -> None:
    async with streaming(crew, plane, "alone", 12) as feed:
        before = feed.published()
        crew.workers["alone-0"].reason = "ReloginDue"
        await log_in_anew(feed, "alone-0")
        await eventually(at_home(feed, before), within=10, what="it streams again")
        holes = crew.lost("alone")
        assert len(holes) == 12, "one for each contract"
