"""Drains, pins and the rebalancing policy: the operator as a process, a real API server, hollow workers.

People do these with ``kubectl annotate``, and so do the tests. No planned move may lose or double an update.
"""

from __future__ import annotations

import asyncio

import pytest

from support.control_plane import ControlPlane
from support.hollow import Crew
from support.hollow_feed import Feed, balanced, eventually, streaming
from support.operator_process import Operator

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def said(feed: Feed) -> tuple[str, str, str]:
    found = await feed.condition("PlacementHonored")
    return found["status"], found["reason"], found["message"]


async def evened_for(feed: Feed) -> int:
    workers: int = (await feed.read())["status"]["balancedWorkers"]
    return workers


def of(feed: Feed, worker: int) -> set[int]:
    """What a worker publishes."""
    return {conid for conid, pod in feed.published().items() if pod == f"{feed.name}-{worker}"}


async def test_drained_worker_streams_nothing_and_keeps_its_session(
    crew: Crew, plane: ControlPlane, operator: Operator
) -> None:
    async with streaming(crew, plane, "drain", 4, 4, 4) as feed:
        before = feed.published()
        covered = await feed.condition("Covered")
        await asyncio.sleep(1.1)  # so that a condition that flips, and flips back, gets another time
        plane.kubectl("annotate", "ibshard/drain-1", "ibfeed.dev/drain=true")
        await eventually(balanced(feed, 6, 6), within=20, what="the others have six each")
        assert {c: pod for c, pod in feed.published().items() if before[c] != "drain-1"} == {
            c: pod for c, pod in before.items() if pod != "drain-1"
        }
        honored = ("True", "Honored", "drained: drain-1")
        await eventually(lambda: said(feed), wanted=honored, within=10, what="the condition says so")
        line = next(item for item in (await feed.read())["status"]["shards"] if item["worker"] == "drain-1")
        assert (line["session"], line["contracts"], line["reason"]) == ("Streaming", 0, "Drained")
        header, row = plane.kubectl("get", "ibs", "drain-1").splitlines()
        assert row[header.index("DRAIN") :].split()[0] == "true"
        await feed.ready(12)

        plane.kubectl("annotate", "ibshard/drain-1", "ibfeed.dev/drain-")
        await eventually(balanced(feed, 4, 4, 4), within=20, what="it has its share again")
        await feed.ready(12)
        assert crew.lost("drain") == []
        after = await feed.condition("Covered")
        assert (after["status"], after["lastTransitionTime"]) == ("True", covered["lastTransitionTime"])


async def test_drain_moves_what_fits_and_says_the_rest(crew: Crew, plane: ControlPlane, operator: Operator) -> None:
    accounts = {"secretRef": {"name": "tight-accounts"}, "first": 1, "count": 6, "linesPerAccount": 5}
    async with streaming(crew, plane, "tight", 4, 4, 4, accounts=accounts) as feed:
        nearest = sorted(of(feed, 1), key=lambda conid: (conid % 1000, conid))
        plane.kubectl("annotate", "ibshard/tight-1", "ibfeed.dev/drain=true")
        await eventually(balanced(feed, 5, 5, 2), within=20, what="two of four have moved")
        assert of(feed, 1) == set(nearest[2:])

        async def complaint() -> tuple[str, str]:
            status, reason, _ = await said(feed)
            return status, reason

        await eventually(complaint, wanted=("False", "DrainIncomplete"), within=10, what="the rest is said")
        assert "no other worker has a line for 2 contracts" in (await said(feed))[2]
        await feed.patch(workers=4)
        await eventually(balanced(feed, 4, 4, 4), within=30, what="a fourth worker takes the rest")
        assert of(feed, 1) == set()
        assert crew.lost("tight") == []


async def test_pinned_contract_goes_there_and_comes_back_there(
    crew: Crew, plane: ControlPlane, operator: Operator
) -> None:
    async with streaming(crew, plane, "pinned", 4, 4, 4) as feed:
        symbols = {item["conid"]: item["symbol"] for item in (await feed.read())["status"]["contracts"]}
        conid = min(of(feed, 0))
        plane.kubectl("annotate", "ibfeed/pinned", f"ibfeed.dev/pin={symbols[conid]}=2,CLX9=1,nonsense")

        async def at() -> str:
            return feed.published().get(conid, "")

        await eventually(at, wanted="pinned-2", within=15, what="it is where it is pinned to")
        await eventually(balanced(feed, 4, 4, 4), within=15, what="loads are even again")
        status, reason, message = await said(feed)
        assert (status, reason) == ("False", "InvalidAnnotation")
        assert "CLX9 is pinned to pinned-1, but is no contract of this feed" in message
        assert "'nonsense' is not of the form CLZ6=1" in message
        assert crew.lost("pinned") == []
        plane.kubectl("annotate", "--overwrite", "ibfeed/pinned", f"ibfeed.dev/pin={symbols[conid]}=2")

        await crew.kill("pinned-2")
        await eventually(balanced(feed, 6, 6), within=15, what="the survivors have all")
        unmet = ("False", "PinUnmet", f"{symbols[conid]} pinned to pinned-2, which does not stream")
        await eventually(lambda: said(feed), wanted=unmet, within=10, what="the condition says why it is not there")
        await crew.restart("pinned-2")
        await eventually(at, wanted="pinned-2", within=30, what="it is back where it is pinned to")
        honored = ("True", "Honored", f"pinned: {symbols[conid]} to pinned-2")
        await eventually(lambda: said(feed), wanted=honored, within=15, what="the condition says so")


async def test_on_scale_loads_are_evened_after_a_change_of_workers_only(
    crew: Crew, plane: ControlPlane, operator: Operator
) -> None:
    async with streaming(crew, plane, "onscale", 4, 4, 4, rebalance="OnScale") as feed:
        await eventually(lambda: evened_for(feed), wanted=3, within=10, what="three workers are remembered")
        await crew.kill("onscale-1")
        await eventually(balanced(feed, 6, 6), within=15, what="the survivors have all")
        operator.kill()
        operator.start()
        await crew.restart("onscale-1")
        await feed.ready(12, within=30)
        assert sorted(feed.loads().values()) == [6, 6]
        await feed.patch(roots=[{"symbol": "CL"}, {"symbol": "NG"}, {"symbol": "GC"}])
        await eventually(balanced(feed, 6, 6, 6), within=15, what="the returned worker gets what comes anew")
        await feed.patch(workers=4)
        await eventually(balanced(feed, 5, 5, 4, 4), within=30, what="four workers share")
        await feed.ready(18)
        await eventually(lambda: evened_for(feed), wanted=4, within=10, what="four workers are remembered")
