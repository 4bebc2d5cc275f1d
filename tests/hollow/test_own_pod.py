"""What an installation sets of its workers' pods: canaries, log level, and templates that cannot start.

The StatefulSet controller counts unavailable pods before it replaces one, as it does by default since Kubernetes 1.35:
under `Parallel` a pod that never becomes ready then holds its own replacement up.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from support.control_plane import ControlPlane
from support.hollow import NAMESPACE, PODS, Crew
from support.hollow_feed import FEEDS, Feed, balanced, eventually, hollow_plane, left_of
from support.operator_process import Operator

on_one_loop = pytest.mark.asyncio(loop_scope="module")
WORKLOADS = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets"
OPERATORS_OWN = "ibfeed/worker"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    gate = "--feature-gates=MaxUnavailableStatefulSet=true"
    directory = tmp_path_factory.mktemp("control-plane")
    with hollow_plane(directory, kube_controller_manager=[gate], kube_apiserver=[gate]) as plane:
        yield plane


@pytest_asyncio.fixture(loop_scope="module")
async def feed(crew: Crew, operator: Operator, request: pytest.FixtureRequest) -> AsyncIterator[Feed]:
    feed = Feed(crew, f"p{sum(request.node.name.encode()) % 10_000}")
    await feed.apply()
    await feed.ready(12)
    await eventually(balanced(feed, 4, 4, 4), within=10, what="three workers with four contracts each")
    yield feed
    crew.unpullable.clear()
    await feed.cluster.delete(f"{FEEDS}/{feed.name}")
    await eventually(lambda: left_of(feed), wanted=[], within=60, what="nothing of the deleted feed is left")
    assert crew.doubles[:3] == []


async def images(feed: Feed) -> dict[str, str]:
    """Pod -> the image it was made with."""
    items = [json.loads(bytes(raw)) for raw in await feed.cluster.list(PODS)]
    return {
        item["metadata"]["name"].rpartition("-")[2]: item["spec"]["containers"][0]["image"]
        for item in items
        if item["metadata"]["name"].startswith(f"{feed.name}-")
    }


async def template(feed: Feed) -> dict[str, Any]:
    workload = json.loads(await feed.cluster.get(f"{WORKLOADS}/{feed.name}"))
    found: dict[str, Any] = workload["spec"]["template"]["spec"]
    return found


@on_one_loop
async def test_image_that_cannot_start_stops_at_one_pod_and_is_mended(feed: Feed) -> None:
    feed.crew.unpullable.add("ibfeed/worker:bad")
    await feed.patch(worker={"image": "ibfeed/worker:bad"})

    async def broken() -> bool:
        found = await feed.condition("Ready")
        return "ImagePullBackOff" in found["message"] and "check spec.worker.image" in found["message"]

    await eventually(broken, within=60, what="the bad image is named")
    assert await images(feed) == {"0": OPERATORS_OWN, "1": OPERATORS_OWN, "2": "ibfeed/worker:bad"}
    await eventually(lambda: _count(feed), wanted=12, within=15, what="the others publish everything")
    status = (await feed.read())["status"]
    assert status["image"] == "ibfeed/worker:bad"
    assert [shard.get("image", "") for shard in status["shards"]] == [OPERATORS_OWN, OPERATORS_OWN, ""]

    await feed.patch(worker={"image": "ibfeed/worker:good"})
    wanted = {str(index): "ibfeed/worker:good" for index in range(3)}
    await eventually(lambda: images(feed), wanted=wanted, within=120, what="every pod runs the good image")
    await feed.ready(12, within=60)
    assert feed.crew.lost(feed.name) == []


async def _count(feed: Feed) -> int:
    return len(feed.published())


@on_one_loop
async def test_field_that_is_taken_out_leaves_the_statefulset(feed: Feed) -> None:
    before = await template(feed)
    toleration = {"key": "dedicated", "operator": "Exists"}
    await feed.patch(
        worker={
            "tolerations": [toleration],
            "env": [{"name": "A", "value": "1"}],
            "resources": {"limits": {"cpu": "1"}},
        }
    )

    async def there() -> bool:
        return (await template(feed)).get("tolerations") == [toleration]

    await eventually(there, within=10, what="the toleration is in the template")
    await feed.patch(worker={"tolerations": None, "env": None, "resources": {"limits": {"cpu": None}}})

    async def gone() -> bool:
        return await template(feed) == before

    await eventually(gone, within=10, what="the template is as it was")
    await feed.ready(12, within=120)


@on_one_loop
async def test_log_level_reaches_the_shards_and_restarts_nothing(feed: Feed) -> None:
    before = {pod: worker.uid for pod, worker in feed.crew.workers.items()}
    await feed.patch(worker={"logLevel": "Debug"})

    async def levels() -> set[str]:
        return {shard["spec"]["logLevel"] for shard in (await feed.shards()).values()}

    await eventually(levels, wanted={"Debug"}, within=10, what="each shard says Debug")
    assert {pod: worker.uid for pod, worker in feed.crew.workers.items()} == before
    assert (await feed.condition("Ready"))["status"] == "True"
