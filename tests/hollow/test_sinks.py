"""Sinks on a real API server, by an operator with the rights of its manifest, and pods that only pretend to run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from ibfeed_operator.kube.errors import NotFoundError
from support.hollow import NAMESPACE, PODS, Crew
from support.hollow_feed import FEEDS, Feed, eventually, left_of
from support.operator_process import Operator

on_one_loop = pytest.mark.asyncio(loop_scope="module")
SINKS = f"/apis/ibfeed.dev/v1alpha1/namespaces/{NAMESPACE}/ibsinks"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
POD = "latest-sink-a"


class HollowSink:
    def __init__(self, crew: Crew) -> None:
        self.cluster = crew.cluster

    async def create(self, feed: str) -> None:
        spec = {"feedRef": {"name": feed}, "redis": {"url": "redis://redis:6379"}}
        meta = {"name": "latest", "namespace": NAMESPACE}
        body = {"apiVersion": "ibfeed.dev/v1alpha1", "kind": "IbSink", "metadata": meta, "spec": spec}
        await self.cluster.create(body)

    async def run_pod(self) -> None:
        """As the Deployment's controller and the kubelet would."""
        template = (await self.deployment())["spec"]["template"]
        container = {"name": "sink", "image": "ibfeed/platform"}
        meta = {"name": POD, "namespace": NAMESPACE, "labels": template["metadata"]["labels"]}
        spec = {"containers": [container], "serviceAccountName": template["spec"]["serviceAccountName"]}
        await self.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
        state = {"running": {"startedAt": _now()}}
        status = container | {"ready": True, "restartCount": 0, "imageID": "", "state": state}
        body = {"status": {"phase": "Running", "containerStatuses": [status]}}
        await self.cluster.patch(f"{PODS}/{POD}/status", body)

    async def tell(self, state: str, **more: Any) -> None:
        """As the sink's process does."""
        report = {"reportedAt": _now(), "startedAt": _now(), "state": state, "rows": 5, "lag": 0} | more
        await self.cluster.patch(f"{SINKS}/latest/status", {"status": {"pods": {POD: report}}})

    async def deployment(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.cluster.get(f"{DEPLOYMENTS}/latest-sink"))
        return found

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.cluster.get(f"{SINKS}/latest")).get("status", {})
        return found

    async def ready(self) -> tuple[str, str]:
        conditions = (await self.status()).get("conditions", [])
        return next(((each["status"], each["reason"]) for each in conditions if each["type"] == "Ready"), ("", ""))

    async def is_gone(self) -> bool:
        for path in (f"{SINKS}/latest", f"{DEPLOYMENTS}/latest-sink"):
            try:
                await self.cluster.get(path)
            except NotFoundError:
                continue
            return False
        return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest_asyncio.fixture(loop_scope="module")
async def sink(crew: Crew) -> AsyncIterator[HollowSink]:
    sink = HollowSink(crew)
    yield sink
    await crew.cluster.delete(f"{SINKS}/latest")
    await crew.cluster.delete(f"{PODS}/{POD}")


@on_one_loop
async def test_a_sink_comes_with_its_feed_and_tells_the_truth(crew: Crew, operator: Operator, sink: HollowSink) -> None:
    await sink.create("ores")
    await eventually(sink.ready, wanted=("False", "FeedNotFound"), within=30, what="the missing feed is told")
    feed = Feed(crew, "ores")
    await feed.apply(workers=1)
    await eventually(sink.ready, wanted=("False", "Progressing"), within=20, what="the Deployment is there")
    (owner,) = (await sink.deployment())["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("IbSink", "latest")

    await sink.run_pod()
    await eventually(sink.ready, wanted=("Unknown", "NoReport"), within=20, what="a pod that has told nothing")
    await sink.tell("Writing", lastWriteTime=_now())
    await eventually(sink.ready, wanted=("True", "Writing"), within=20, what="a pod that writes")
    await sink.tell("Refused", error="wrong password: correct it")
    await eventually(sink.ready, wanted=("False", "DestinationRefused"), within=20, what="a refusal")
    assert (await sink.status())["lastError"] == f"{POD}: wrong password: correct it"

    operator.kill()
    operator.start()
    await sink.tell("Writing", error="")
    await eventually(sink.ready, wanted=("True", "Writing"), within=60, what="the next operator goes on")
    await eventually(sink.ready, wanted=("Unknown", "ReportStale"), within=60, what="a process that tells no more")

    await crew.cluster.delete(f"{SINKS}/latest")
    await eventually(sink.is_gone, within=60, what="what the sink owned is collected")
    await crew.cluster.delete(f"{FEEDS}/ores")
    await eventually(lambda: left_of(feed), wanted=[], within=60, what="nothing of the feed is left")
