"""Events are asked for only while a pod is wanted and does not come, and not often; over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from ibfeed_operator.controller import pod_events
from ibfeed_operator.controller.pod_events import PodEvents
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.model.types import Pod
from support.build import feed

QUOTA = "create Pod energy-1 in StatefulSet energy failed error: exceeded quota: small"
MOUNT = 'MountVolume.SetUp failed for volume "ca" : configmap "proxy-ca" not found'


def event(reason: str, message: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "e", "creationTimestamp": "2026-11-21T12:00:00Z"},
        "type": "Warning",
        "reason": reason,
        "message": message,
    }


class Scene:
    """An API server with a StatefulSet and events by uid; ``asked`` are the field selectors it was sent."""

    def __init__(self, cluster: KubeClient) -> None:
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []
        self.broken = False
        self.woken = asyncio.Event()
        self.of_pods = PodEvents(cluster, asyncio.Lock(), self.woken.set)

    async def serve(self, request: web.Request) -> web.Response:
        if request.path.endswith("/statefulsets/energy"):
            return web.json_response({"metadata": {"uid": "w-1"}})
        self.asked.append(request.query["fieldSelector"])
        if self.broken:
            return web.json_response({"message": "events is forbidden"}, status=403)
        uid = request.query["fieldSelector"].removeprefix("involvedObject.uid=")
        return web.json_response({"metadata": {}, "items": self.events.get(uid, [])})

    async def looked(self, **pods: Any) -> None:
        """Look, and wait until the look, if one is made, is over."""
        self.of_pods.look(feed(), **({"missing": {}, "waiting": {}} | pods))
        if self.of_pods._task is not None:
            await self.of_pods._task


@pytest_asyncio.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(pod_events, "PATIENCE_S", 0.0)
    scene: Scene

    async def serve(request: web.Request) -> web.Response:
        return await scene.serve(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    configuration.retries = None
    async with KubeClient(ApiClient(configuration)) as cluster:
        scene = Scene(cluster)
        yield scene
        await scene.of_pods.close()
        await runner.cleanup()


async def test_refused_pod_is_explained_and_wakes_the_feed(scene: Scene) -> None:
    scene.events["w-1"] = [event("FailedCreate", QUOTA)]
    await scene.looked(missing={1: "energy-1"})
    assert "exceeded quota: small" in scene.of_pods.obstacle(1)
    assert scene.woken.is_set()
    assert scene.asked == ["involvedObject.uid=w-1"]


async def test_pod_that_does_not_start_is_explained(scene: Scene) -> None:
    scene.events["p-1"] = [event("FailedMount", MOUNT)]
    await scene.looked(waiting={0: Pod(name="energy-0", worker=0, uid="p-1")})
    assert "proxy-ca" in scene.of_pods.obstacle(0)


async def test_nothing_is_asked_while_all_pods_are_there(scene: Scene) -> None:
    await scene.looked()
    assert scene.asked == []


async def test_it_is_forgotten_when_the_pod_comes(scene: Scene) -> None:
    scene.events["w-1"] = [event("FailedCreate", QUOTA)]
    await scene.looked(missing={1: "energy-1"})
    await scene.looked()
    assert scene.of_pods.obstacle(1) == ""


async def test_a_pod_that_is_just_being_replaced_is_not_asked_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_events, "PATIENCE_S", 60.0)
    await scene.looked(missing={1: "energy-1"})
    assert scene.asked == []


async def test_looks_are_seconds_apart(scene: Scene) -> None:
    for _ in range(5):
        await scene.looked(missing={1: "energy-1"})
    assert len(scene.asked) == 1


async def test_without_the_right_to_list_events_the_feed_goes_on(scene: Scene) -> None:
    scene.broken = True
    await scene.looked(missing={1: "energy-1"})
    assert scene.of_pods.obstacle(1) == ""
