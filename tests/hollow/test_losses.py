"""Everybody lost at once, nodes gone, workers that bounce, and rolls: hollow workers, real operator and API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from ibfeed_api.lease import TAKEOVER_S
from ibfeed_operator.liveness.tracker import TOGETHER_S
from support.control_plane import ControlPlane
from support.figures import Figures
from support.hollow import PODS, Crew
from support.hollow_feed import Feed, balanced, epochs, eventually, hollow_crew, moving
from support.operator_process import Operator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crew(plane: ControlPlane) -> AsyncIterator[Crew]:
    async with hollow_crew(plane) as crew:
        yield crew
        assert crew.doubles[:3] == []


async def begin(crew: Crew, name: str, *roots: str) -> Feed:
    """Three workers, two roots, twelve contracts."""
    feed = Feed(crew, name)
    await feed.apply(roots=[{"symbol": root} for root in roots or ("CL", "NG")])
    await feed.ready(12)
    await eventually(balanced(feed, 4, 4, 4), within=10, what="three workers with four contracts each")
    return feed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def straggler(crew: Crew, operator: Operator) -> asyncio.Task[float]:
    """All sessions are lost together, and all but one come back: it takes a minute, beside the other tests."""
    feed = await begin(crew, "straggler")
    before, first = feed.published(), await epochs(feed)
    workers = [crew.workers[f"straggler-{index}"] for index in range(3)]

    async def story() -> float:
        for worker in workers:
            worker.session = "LoggingIn"
        await asyncio.sleep(8)
        assert (await feed.condition("Rebalancing"))["message"].startswith(
            "most workers lost their sessions, or hear nothing of IB, together"
        )
        for worker in workers[:2]:
            worker.session = "Streaming"
            await asyncio.sleep(2)
        assert {conid: feed.published()[conid] for conid, pod in before.items() if pod != workers[2].pod} == {
            conid: pod for conid, pod in before.items() if pod != workers[2].pod
        }
        assert await epochs(feed) == first
        return 2 + await eventually(balanced(feed, 6, 6), within=TOGETHER_S + 10, what="two workers with six each")

    return asyncio.create_task(story())


async def test_all_lost_together_keep_what_they_have(crew: Crew, operator: Operator, straggler: object) -> None:
    feed = await begin(crew, "together")
    before, first = feed.published(), await epochs(feed)
    for index in range(3):
        crew.workers[f"together-{index}"].session = "LoggingIn"
    await asyncio.sleep(8)
    assert await epochs(feed) == first
    for index in range(3):  # one after the other, as their logins are spread
        await asyncio.sleep(2)
        crew.workers[f"together-{index}"].session = "Streaming"
    await feed.ready(12)
    assert feed.published() == before
    assert await epochs(feed) == first


async def test_roll(crew: Crew, operator: Operator, figures: Figures) -> None:
    operator.turn_clock(datetime(2029, 1, 20, 12, tzinfo=UTC))
    feed = await begin(crew, "rolling", "RB", "HO")
    before, first = feed.published(), await epochs(feed)
    slots = {c["conid"]: c["slot"] for c in (await feed.read())["status"]["contracts"]}
    asked = len(crew.asked)
    operator.turn_clock(datetime(2029, 1, 20, 21, 59, 58, tzinfo=UTC))
    await asyncio.sleep(1.5)
    assert feed.published() == before, "it streams until the end of its last trading day"

    expired, successors = {5001, 6001}, {5007, 6007}

    async def rolled() -> bool:
        return feed.published().keys() == before.keys() - expired | successors

    took = await eventually(rolled, within=15, what="the successors are published, the expired ones are not")
    figures.record("end of the last trading day, until the successors are published", took - 0.5, bar=4, note="hollow")
    await feed.ready(12)
    await eventually(lambda: moving(feed), wanted=False, within=10, what="the expired ones' entries are gone")
    after, status = feed.published(), (await feed.read())["status"]["contracts"]
    assert {conid: pod for conid, pod in after.items() if conid not in successors} == {
        conid: pod for conid, pod in before.items() if conid not in expired
    }
    assert {c: e for c, e in (await epochs(feed)).items() if c not in successors} == {
        c: e for c, e in first.items() if c not in expired
    }
    new = {c["conid"]: c["slot"] for c in status}
    assert {slots[conid] for conid in expired} == {new[conid] for conid in successors}
    assert {conid: slot for conid, slot in new.items() if conid not in successors} == {
        conid: slot for conid, slot in slots.items() if conid not in expired
    }
    assert crew.lost(feed.name) == []

    async def asked_again() -> set[str]:
        return {root for _, root in crew.asked[asked:]}

    # The crew's other feeds ask, too: it is a new day for all of them.
    await eventually(
        lambda: _holds(asked_again, {"RB", "HO"}), within=10, what="each root is asked for after the trading day"
    )


async def _holds(ask: Callable[[], Awaitable[set[str]]], wanted: set[str]) -> bool:
    return wanted <= await ask()


async def test_roll_while_ib_forgets_contracts(crew: Crew, operator: Operator) -> None:
    operator.turn_clock(datetime(2029, 3, 20, 12, tzinfo=UTC))
    feed = await begin(crew, "forgetful", "RB", "HO")
    before = feed.published()
    crew.forgotten |= {5004, 5005}
    operator.turn_clock(datetime(2029, 3, 20, 22, tzinfo=UTC))

    async def said() -> bool:
        found = await feed.condition("UniverseResolved")
        return found["reason"] == "UniverseShrank" and "RBJ9, RBK9" in found["message"]

    await eventually(said, within=10, what="UniverseResolved says what is missing")
    kept = {conid: pod for conid, pod in before.items() if conid not in (5003, 6003)}
    assert kept.items() <= feed.published().items()

    async def new() -> bool:
        return 6009 in feed.published()

    await eventually(new, within=10, what="the month that is new is streamed")
    assert kept.items() <= feed.published().items()
    crew.forgotten.clear()


async def test_gone_node(crew: Crew, operator: Operator) -> None:
    feed = await begin(crew, "node")
    victim, before = crew.workers["node-1"], feed.published()
    crew.lose_node(victim.pod)
    took = await eventually(balanced(feed, 6, 6), within=20, what="the survivors stream its contracts")
    assert took >= TAKEOVER_S - 4
    kept = {conid: pod for conid, pod in before.items() if pod != victim.pod}
    assert kept.items() <= feed.published().items()
    moved = await epochs(feed)
    await feed.cluster.delete(f"{PODS}/{victim.pod}")  # as the node controller does: it waits for the node for ever
    await asyncio.sleep(3)
    assert crew.workers[victim.pod] is victim
    assert await epochs(feed) == moved
    await feed.cluster._request("DELETE", f"{PODS}/{victim.pod}", body={"gracePeriodSeconds": 0})
    await eventually(balanced(feed, 4, 4, 4), within=30, what="a new pod elsewhere has its share")
    assert crew.workers[victim.pod] is not victim


async def test_container_that_runs_out_of_memory(crew: Crew, operator: Operator) -> None:
    feed = await begin(crew, "memory")
    await crew.kill("memory-0", "OOMKilled")
    await eventually(balanced(feed, 6, 6), within=15, what="the survivors stream its contracts")

    async def said() -> bool:
        return (
            "memory-0: its container does not run: it died of OOMKilled" in (await feed.condition("Ready"))["message"]
        )

    await eventually(said, within=15, what="Ready says what it died of")
    await crew.restart("memory-0")
    await eventually(balanced(feed, 4, 4, 4), within=10, what="it has its share again at once")


async def test_bouncing_worker_is_given_contracts_later_each_time(crew: Crew, operator: Operator) -> None:
    feed = await begin(crew, "bounce")
    for _ in range(2):
        await eventually(balanced(feed, 4, 4, 4), within=15, what="it has its share, also after the first loss")
        await crew.kill("bounce-1")
        await eventually(balanced(feed, 6, 6), within=15, what="the survivors stream its contracts")
        await crew.restart("bounce-1")
    for _ in range(2):
        await asyncio.sleep(3)
        assert feed.loads() == {"bounce-0": 6, "bounce-2": 6}
        await crew.kill("bounce-1")
        await crew.restart("bounce-1")

    async def settles() -> bool:
        said = await feed.condition("Rebalancing")
        return said["reason"] == "Settling" and "bounce-1 was lost 2 times within the hour" in said["message"]

    await eventually(settles, within=15, what="Rebalancing says that it settles, and why")

    async def line() -> tuple[str, str]:
        (shard,) = [shard for shard in (await feed.read())["status"]["shards"] if shard["worker"] == "bounce-1"]
        return shard["session"], shard["reason"]

    await eventually(line, wanted=("Streaming", "Settling"), within=10, what="its line in the status says so, too")
    await feed.ready(12)


async def test_one_that_stays_away_is_waited_for_a_minute(straggler: asyncio.Task[float], figures: Figures) -> None:
    took = await straggler
    assert took >= TOGETHER_S - 1
    figures.record("all lost, all but one return: until the last one's contracts move", took, bar=TOGETHER_S + 10)


async def test_log_has_no_traceback(plane: ControlPlane) -> None:
    log = (plane.directory / "operator.log").read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
