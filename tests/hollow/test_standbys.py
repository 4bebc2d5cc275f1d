"""Hot standbys, kept by a real operator: where they are, what a death costs with them, and what they outlive."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from support.control_plane import ControlPlane
from support.hollow import PODS, SHARDS, Crew
from support.hollow_feed import Feed, balanced, epochs, eventually, streaming
from support.operator_process import Operator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def feed(crew: Crew, operator: Operator, plane: ControlPlane) -> AsyncIterator[Feed]:
    """Twelve contracts at three workers, each of them held ready by another one."""
    async with streaming(crew, plane, "hot", 4, 4, 4, standby="Hot") as feed:
        await eventually(all_warm(feed), within=20, what="all standbys are warm")
        yield feed


async def pairs(feed: Feed) -> Counter[tuple[str, str]]:
    """Count the contracts by owner and standby."""
    active: dict[int, str] = {}
    hot: dict[int, str] = {}
    for name, shard in (await feed.shards()).items():
        for entry in shard["spec"].get("contracts", ()):
            where = hot if entry.get("hot") else active
            assert entry["conid"] not in where or not entry.get("hot"), "two hot standbys at rest"
            where[entry["conid"]] = name
    assert active.keys() == hot.keys()
    return Counter((active[conid], hot[conid]) for conid in active)


def all_warm(feed: Feed) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        found = await feed.condition("StandbysReady")
        return (found.get("status"), found.get("reason")) == ("True", "AllWarm")

    return look


async def test_each_contract_is_held_ready_and_deaths_are_spread(feed: Feed) -> None:
    found = await pairs(feed)
    assert set(found.values()) == {2}
    assert len(found) == 6
    status = (await feed.read())["status"]
    assert status["standbyCount"] == 12
    assert all(contract["standby"] not in ("", contract["worker"]) for contract in status["contracts"])
    assert (await feed.condition("Rebalancing"))["status"] == "False"


async def test_a_death_loses_nothing_and_new_standbys_are_warmed(feed: Feed) -> None:
    crew = feed.crew
    for victim in ("hot-1", "hot-0"):
        heirs = {c["conid"]: c["standby"] for c in (await feed.read())["status"]["contracts"] if c["worker"] == victim}
        await crew.kill(victim)

        async def taken(heirs: dict[int, str] = heirs) -> bool:
            return {conid: feed.published().get(conid) for conid in heirs} == heirs

        await eventually(taken, within=20, what="the standbys publish")
        await eventually(balanced(feed, 6, 6), within=10, what="two workers with six each")
        await eventually(all_warm(feed), within=20, what="all are held ready again, by the one that is left")
        await crew.restart(victim)
        await eventually(balanced(feed, 4, 4, 4), within=30, what="the returned worker has its share")
        await eventually(all_warm(feed), within=20, what="and its standbys")
    assert crew.lost(feed.name) == []
    assert crew.dropped == []
    assert set((await pairs(feed)).values()) == {2}


async def test_they_outlive_drains_scaling_and_rolls(feed: Feed) -> None:
    crew, before = feed.crew, await epochs(feed)
    drain = {"metadata": {"annotations": {"ibfeed.dev/drain": "true"}}}
    await crew.cluster.patch(f"{SHARDS}/hot-2", drain)
    await eventually(balanced(feed, 6, 6), within=30, what="the drained worker has nothing")
    await eventually(all_warm(feed), within=20, what="all are held ready by the others")
    assert not (await feed.shards())["hot-2"]["spec"].get("contracts")
    await crew.cluster.patch(f"{SHARDS}/hot-2", {"metadata": {"annotations": {"ibfeed.dev/drain": None}}})
    await eventually(balanced(feed, 4, 4, 4), within=30, what="it has its share again")
    await feed.patch(workers=2)
    await eventually(balanced(feed, 6, 6), within=60, what="two workers")
    await eventually(all_warm(feed), within=20, what="all are held ready by the two")
    await feed.patch(workers=3)
    await eventually(balanced(feed, 4, 4, 4), within=60, what="three workers")
    await eventually(all_warm(feed), within=20, what="all are held ready by the three")
    old = crew.workers["hot-0"].uid
    await crew.cluster.delete(f"{PODS}/hot-0")

    async def replaced() -> bool:
        return crew.workers["hot-0"].uid != old

    await eventually(replaced, within=60, what="the pod is another one")  # else the balance is still the old one
    await eventually(balanced(feed, 4, 4, 4), within=60, what="a new pod has its share")
    await eventually(all_warm(feed), within=30, what="all are held ready")
    assert crew.lost(feed.name) == []
    after = await epochs(feed)
    assert all(after[conid] >= epoch for conid, epoch in before.items())


async def test_too_few_lines_are_said_and_publishing_comes_first(feed: Feed) -> None:
    """The workers roll meanwhile. No line is to spare, but those of the standbys, which the moves get."""
    accounts = {"secretRef": {"name": "hot-accounts"}, "first": 1, "count": 6, "linesPerAccount": 6}
    await feed.patch(accounts=accounts)

    async def told() -> bool:
        found = await feed.condition("StandbysReady")
        named = "6 of 12 contracts without a standby" in found.get("message", "")
        return named and (found["status"], found["reason"]) == ("False", "Capacity")

    await eventually(told, within=60, what="condition StandbysReady names what has none, once the workers have rolled")
    await feed.ready(12, within=90)
    assert feed.crew.lost(feed.name) == []
    await feed.patch(standby="None")

    async def gone() -> bool:
        entries = [e for shard in (await feed.shards()).values() for e in shard["spec"].get("contracts", ())]
        return len(entries) == 12 and not any(entry.get("hot") for entry in entries)

    await eventually(gone, within=20, what="no standby is left")


async def test_log_has_no_traceback(plane: ControlPlane) -> None:
    assert "Traceback" not in (plane.directory / "operator.log").read_text()
