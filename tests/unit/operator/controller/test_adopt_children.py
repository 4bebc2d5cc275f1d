"""Applying over what is there already: one's own, an earlier feed's, somebody else's; over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from ibfeed_api.calls import Signer
from ibfeed_operator.controller.assessment import assess
from ibfeed_operator.controller.context import Context
from ibfeed_operator.controller.dependencies import Dependencies, Settings
from ibfeed_operator.controller.failsafe import failsafe_member
from ibfeed_operator.controller.memory import Memory
from ibfeed_operator.controller.shards import Shards
from ibfeed_operator.controller.snapshot import Informers, Snapshot
from ibfeed_operator.controller.steps.apply_children import apply_children
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import KubeError
from ibfeed_operator.resources import labels, owner_reference
from support.build import feed

FEED = feed()
OURS = owner_reference(FEED)
BEFORE = OURS | {"uid": "gone"}


class Scene:
    """An API server that holds the Service ``energy`` only, as a test says. ``writes``: to it, in their order."""

    def __init__(self, cluster: KubeClient, http: aiohttp.ClientSession) -> None:
        self.service: dict[str, Any] = {}
        self.writes: list[tuple[str, dict[str, Any]]] = []
        self.events: list[str] = []
        informers = Informers(cluster, "default")
        self.shared = Dependencies(
            kube=cluster,
            informers=informers,
            http=http,
            settings=Settings(worker_image="w", operator_namespace="o"),
            failsafe=failsafe_member(cluster, informers, "operator_u", Signer()),
        )

    def there(self, **meta: Any) -> None:
        self.service = {"metadata": {"name": "energy", "resourceVersion": "7", "labels": labels("energy")} | meta}

    async def handle(self, request: web.Request) -> web.Response:
        if request.path.endswith("/events"):
            self.events.append((await request.json())["message"])
            return web.json_response({})
        mine = request.path.endswith("/services/energy")
        if request.method == "GET":
            return web.json_response(self.service if mine else {"message": "none"}, status=200 if mine else 404)
        body = await request.json()
        if mine:
            version = body["metadata"]["resourceVersion"]
            assert version == self.service["metadata"]["resourceVersion"]
            self.writes.append((request.content_type.removeprefix("application/"), body))
            self.service["metadata"] |= {"resourceVersion": str(int(version) + 1)}
            return web.json_response(self.service)
        return web.json_response(body | {"metadata": body["metadata"] | {"resourceVersion": "1"}})

    async def apply(self) -> None:
        memory = Memory.of(self.shared, lambda: None)
        world = Snapshot(feed=FEED, shards=(), pods=(), leases=(), taken=frozenset())
        assessment = assess(world, memory, clock=self.shared.clock(), now=0.0)
        shards = Shards(self.shared, memory, world, assessment)
        await apply_children(
            Context(dependencies=self.shared, memory=memory, snapshot=world, assessment=assessment, shards=shards)
        )


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    scene: Scene

    async def handle(request: web.Request) -> web.Response:
        return await scene.handle(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    configuration.retries = None
    async with KubeClient(ApiClient(configuration)) as cluster, aiohttp.ClientSession() as http:
        scene = Scene(cluster, http)
        yield scene
        await runner.cleanup()


@pytest.mark.parametrize("owners", [[], [BEFORE]], ids=["orphaned", "restored"])
async def test_owner_is_replaced_before_anything_is_applied(scene: Scene, owners: list[dict[str, Any]]) -> None:
    """An object with two controllers is refused, and what a backup restored is another field manager's."""
    scene.there(ownerReferences=owners)
    await scene.apply()
    (adoption, first), (applying, second) = scene.writes
    assert (adoption, applying) == ("merge-patch+json", "apply-patch+yaml")
    assert first == {"metadata": {"resourceVersion": "7", "ownerReferences": [OURS]}}
    assert second["metadata"]["ownerReferences"] == [OURS]
    assert scene.events == ["Service energy was left by an earlier IbFeed of this name and is now this one's"]


async def test_own_object_is_only_applied(scene: Scene) -> None:
    scene.there(ownerReferences=[OURS])
    await scene.apply()
    assert [kind for kind, _ in scene.writes] == ["apply-patch+yaml"]
    assert scene.events == []


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ({"labels": {}}, "is there already and not of this feed: give the IbFeed another name"),
        ({"ownerReferences": [OURS | {"uid": "o", "name": "metals"}]}, "not of this feed"),
        ({"ownerReferences": [BEFORE], "deletionTimestamp": "2026-11-21T12:00:00Z"}, "waiting until it is gone"),
    ],
)
async def test_other_objects_are_left_alone_and_named(scene: Scene, meta: dict[str, Any], says: str) -> None:
    scene.there(**meta)
    with pytest.raises(KubeError, match=f"Service energy .*{says}"):
        await scene.apply()
    assert scene.writes == []
