"""Epochs grow for whoever reads the topic, whatever becomes of the resource, its status and the operator's clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from support.control_plane import ControlPlane
from support.hollow import Crew
from support.hollow_feed import FEEDS, Feed, epochs, eventually, left_of
from support.operator_process import Operator

on_one_loop = pytest.mark.asyncio(loop_scope="module")
SHARED = "ticks-of-all"


@pytest_asyncio.fixture(loop_scope="module")
async def topic(crew: Crew, operator: Operator) -> AsyncIterator[str]:
    """One that several feeds write to. Afterwards nobody that reads it has dropped anything."""
    operator.turn_clock(datetime.now(UTC))
    crew.on_topic.clear()
    yield SHARED
    operator.turn_clock(datetime.now(UTC))
    assert crew.dropped == []
    assert crew.doubles[:3] == []


async def start(crew: Crew, plane: ControlPlane, name: str, roots: str = "CL NG") -> Feed:
    crew.topics[name] = SHARED
    feed = Feed(crew, name)
    await feed.apply(roots=[{"symbol": root} for root in roots.split()], workers=2)
    try:
        await feed.ready(6 * len(roots.split()), within=40)
    except AssertionError:
        print((plane.directory / "operator.log").read_text()[-8000:])
        raise
    return feed


async def delete(feed: Feed) -> None:
    await feed.cluster.delete(f"{FEEDS}/{feed.name}")
    await eventually(lambda: left_of(feed), wanted=[], within=40, what="nothing of the deleted feed is left")


def seen(crew: Crew) -> dict[int, int]:
    """Conid -> the highest epoch of a record on the topic."""
    return {conid: epoch for (topic, conid), epoch in crew.on_topic.items() if topic == SHARED}


async def grown(crew: Crew, feed: Feed, before: dict[int, int]) -> bool:
    """Whether the feed publishes each of its contracts above all that was on the topic."""
    given = await epochs(feed)
    return all(seen(crew).get(conid) == epoch > before.get(conid, 0) for conid, epoch in given.items())


async def count(feed: Feed) -> int:
    """Contracts that any worker has."""
    return len(await epochs(feed))


async def above(crew: Crew, before: dict[int, int]) -> bool:
    found = seen(crew)
    return all(found[conid] > epoch for conid, epoch in before.items())


@on_one_loop
@pytest.mark.parametrize("set_back_s", [0, 3600], ids=["right clock", "clock set back"])
async def test_deleted_and_applied_again(
    crew: Crew, plane: ControlPlane, operator: Operator, topic: str, set_back_s: int
) -> None:
    for again in range(3):
        operator.turn_clock(datetime.now(UTC) - again * timedelta(seconds=set_back_s))
        before = seen(crew)
        feed = await start(crew, plane, f"again{set_back_s}")
        await eventually(lambda: grown(crew, feed, before), within=10, what="every epoch has grown")  # noqa: B023
        await delete(feed)


@on_one_loop
async def test_two_feeds_in_turn_on_one_topic(crew: Crew, plane: ControlPlane, operator: Operator, topic: str) -> None:
    """The second one's operator has another clock."""
    first = await start(crew, plane, "turn-a")
    before = seen(crew)
    await delete(first)
    operator.turn_clock(datetime.now(UTC) - timedelta(days=30))
    second = await start(crew, plane, "turn-b")
    await eventually(lambda: grown(crew, second, before), within=10, what="every epoch has grown")
    await delete(second)


@on_one_loop
async def test_a_root_moved_to_an_older_feed(crew: Crew, plane: ControlPlane, topic: str) -> None:
    older = await start(crew, plane, "older", "CL")
    newer = await start(crew, plane, "newer", "NG RB")
    before = seen(crew)
    await newer.patch(roots=[{"symbol": "RB"}])
    await newer.ready(6)
    await older.patch(roots=[{"symbol": "CL"}, {"symbol": "NG"}])
    await older.ready(12)
    moved = {conid: epoch for conid, epoch in before.items() if 2000 <= conid < 3000}
    assert len(moved) == 6
    await eventually(lambda: above(crew, moved), within=10, what="what moved is above what the topic had")
    await delete(older)
    await delete(newer)


@on_one_loop
async def test_status_wiped_by_hand(crew: Crew, plane: ControlPlane, operator: Operator, topic: str) -> None:
    feed = await start(crew, plane, "wiped")
    operator.turn_clock(datetime.now(UTC) - timedelta(days=30))
    before, given = seen(crew), await epochs(feed)
    nothing = json.dumps({"status": {"contracts": [], "highestEpoch": 0, "contractCount": 0}})
    plane.kubectl("patch", "ibfeed", feed.name, "--subresource=status", "--type=merge", "-p", nothing)
    await feed.patch(roots=[{"symbol": "CL"}])
    await feed.ready(6)
    await eventually(lambda: count(feed), wanted=6, within=10, what="what was taken out is let go")
    plane.kubectl("patch", "ibfeed", feed.name, "--subresource=status", "--type=merge", "-p", nothing)
    await feed.patch(roots=[{"symbol": "CL"}, {"symbol": "NG"}])
    await feed.ready(12)
    assert all(epoch >= given[conid] for conid, epoch in (await epochs(feed)).items())
    added = {conid: epoch for conid, epoch in before.items() if conid >= 2000}
    await eventually(lambda: above(crew, added), within=10, what="what came back is above what the topic had")
    await delete(feed)
