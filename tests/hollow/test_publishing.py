"""Workers that cannot publish: hollow workers, real operator, API server and StatefulSet controller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from ibfeed_operator.liveness.publishing import GRACE_S
from support.figures import Figures
from support.hollow import TICK_S, Crew
from support.hollow_feed import Feed, balanced, epochs, eventually, moving
from support.operator_process import Operator

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def begin(crew: Crew, name: str, workers: int = 2) -> Feed:
    feed = Feed(crew, name)
    await feed.apply(workers=workers)
    await feed.ready(12)
    loads = [12 // workers] * workers
    await eventually(balanced(feed, *loads), within=10, what=f"{workers} workers share twelve contracts")
    return feed


def at(feed: Feed, *workers: int) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return set(feed.published().values()) == {f"{feed.name}-{w}" for w in workers} and len(feed.published()) == 12

    return is_so


async def test_a_worker_that_is_cut_off_loses_its_contracts(crew: Crew, operator: Operator, figures: Figures) -> None:
    feed = await begin(crew, "cutoff")
    victim, begun = crew.workers["cutoff-0"], time.monotonic()
    victim.kafka = "AdvertisedAddressUnreachable"

    async def told() -> tuple[str, str]:
        return (await feed.condition("Covered"))["status"], (await feed.condition("KafkaReachable"))["reason"]

    await eventually(told, wanted=("False", "AdvertisedAddressUnreachable"), within=3, what="the conditions tell")
    assert (await feed.condition("Ready"))["message"].startswith("cutoff-0 cannot publish: kafka:9092 refuses")
    await eventually(at(feed, 1), within=15, what="the other one publishes everything")
    took = time.monotonic() - begun
    await eventually(lambda: moving(feed), wanted=False, within=10, what="nothing is on the move")
    assert (await feed.condition("Covered"))["status"] == "True"
    assert (await feed.condition("Ready"))["status"] == "False"
    message = (await feed.condition("KafkaReachable"))["message"]
    assert message.endswith("kafka:9092 refuses connections; others can, and go on with what it had")
    holes = [
        after - before
        for (name, _), record in crew.records.items()
        if name == feed.name
        for before, after in pairwise(record)
        if after > before + 1
    ]
    assert holes and max(holes) * TICK_S < GRACE_S + 4  # until the heir had subscribed
    figures.record(
        "cannot publish alone, until the other one publishes", took - GRACE_S, bar=4, note="hollow, beyond the grace"
    )

    victim.kafka = ""
    await eventually(balanced(feed, 6, 6), within=20, what="its contracts are given back at once")
    await feed.ready(12)


async def test_while_nobody_can_publish_nothing_moves(crew: Crew, operator: Operator) -> None:
    feed = await begin(crew, "kafkaless", 3)
    before, first = feed.published(), await epochs(feed)
    for index in (1, 0, 2):  # they find out one after the other
        crew.workers[f"kafkaless-{index}"].kafka = "BootstrapUnreachable"
        await asyncio.sleep(0.5)
    await asyncio.sleep(GRACE_S + 3)
    assert (await feed.condition("KafkaReachable"))["status"] == "False"
    assert await epochs(feed) == first
    for index in (2, 1, 0):
        crew.workers[f"kafkaless-{index}"].kafka = ""
        await asyncio.sleep(0.5)
    await feed.ready(12)
    assert feed.published() == before
    assert await epochs(feed) == first
    assert crew.lost(feed.name) == []


async def test_short_trouble_of_one_worker_moves_nothing(crew: Crew, operator: Operator) -> None:
    feed = await begin(crew, "hiccup")
    first = await epochs(feed)
    crew.workers["hiccup-0"].kafka = "NotAcknowledged"
    await asyncio.sleep(GRACE_S / 2)
    crew.workers["hiccup-0"].kafka = ""
    await feed.ready(12)
    assert await epochs(feed) == first
    assert crew.lost(feed.name) == []


async def test_wrong_servers_stop_no_contract(crew: Crew, operator: Operator, figures: Figures) -> None:
    """The update of the pods stops at the first one, whose contracts are with the others by then."""
    feed = await begin(crew, "wrongaddress", 3)
    pods = {index: crew.workers[f"wrongaddress-{index}"].uid for index in range(3)}
    crew.dead_servers.add("nowhere:9092")
    await feed.patch(kafka={"bootstrapServers": "nowhere:9092"})

    async def stopped_at_the_first() -> bool:
        last = crew.workers.get("wrongaddress-2")
        return last is not None and last.uid != pods[2] and last.kafka != ""

    await eventually(stopped_at_the_first, within=40, what="the highest pod has come with the new address")
    await eventually(at(feed, 0, 1), within=15, what="the others publish everything")
    await asyncio.sleep(10)  # longer than a ready pod is waited for
    assert [crew.workers[f"wrongaddress-{index}"].uid for index in (0, 1)] == [pods[0], pods[1]]
    assert (await feed.condition("KafkaReachable"))["reason"] == "BootstrapUnreachable"
    assert (await feed.condition("Covered"))["status"] == "True"
    assert (await feed.shards())["wrongaddress-2"]["spec"]["contracts"] == []
    figures.record("contracts that stop at a wrong bootstrapServers", len(crew.lost(feed.name)), bar=0, unit="")

    await feed.patch(kafka={"bootstrapServers": "kafka:9092"})
    await eventually(balanced(feed, 4, 4, 4), within=90, what="with the right address all share again")
    await feed.ready(12)
    assert crew.lost(feed.name) == []
