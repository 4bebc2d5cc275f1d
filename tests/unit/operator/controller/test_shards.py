"""A write of a shard that waits for its turn, and what comes to be known meanwhile; over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from ibfeed_api.calls import Signer
from ibfeed_api.feed import Accounts, FeedSpec, Kafka, Root, SecretRef
from ibfeed_operator.controller.assessment import assess
from ibfeed_operator.controller.dependencies import Dependencies, Settings
from ibfeed_operator.controller.failsafe import failsafe_member
from ibfeed_operator.controller.memory import Memory
from ibfeed_operator.controller.shards import Shards
from ibfeed_operator.controller.snapshot import Informers, Snapshot, shards_path
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import ConflictError, NotLeadingError
from ibfeed_operator.model.decode import read_shard
from ibfeed_operator.model.types import Feed

FEED = Feed(
    namespace="n",
    name="f",
    uid="u",
    generation=1,
    spec=FeedSpec(
        roots=(Root(symbol="CL"),),
        accounts=Accounts(secret_ref=SecretRef(name="paper"), count=1),
        kafka=Kafka(bootstrap_servers="kafka:9092"),
        workers=1,
        front_months=1,
    ),
)


class Scene:
    """An API server with one shard, and an operator that has seen it."""

    def __init__(self, cluster: KubeClient, http: aiohttp.ClientSession, shard: dict[str, Any]) -> None:
        self.shard = shard
        self.calls: list[str] = []
        self.leads = True
        self.views = Informers(cluster, "n")
        self.shared = Dependencies(
            kube=cluster,
            informers=self.views,
            http=http,
            settings=Settings(worker_image="w", operator_namespace="o"),
            failsafe=failsafe_member(cluster, self.views, "operator_u", Signer()),
        )

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append(request.method)
        if request.method == "PATCH":
            body = await request.json()
            if body["metadata"]["resourceVersion"] != self.shard["metadata"]["resourceVersion"]:
                return web.json_response({"message": "the object has been modified"}, status=409)
            self.shard["spec"] |= body["spec"]
            self._next()
        return web.json_response(self.shard)

    def report(self, **status: Any) -> None:
        """The worker writes its status."""
        self.shard["status"] |= status
        self._next()

    def hear(self) -> None:
        """The watch tells how the shard is."""
        raw = json.dumps(self.shard).encode()
        found = read_shard(raw)
        assert found is not None
        self.views.shards.wrote(raw, found)

    def shards(self) -> Shards:
        memory = Memory.of(self.shared, lambda: None)
        shards = tuple(shard for _, shard in self.views.shards.values("n"))
        snapshot = Snapshot(feed=FEED, shards=shards, pods=(), leases=(), taken=frozenset())
        assessment = assess(snapshot, memory, clock=self.shared.clock(), now=0.0)
        return Shards(self.shared, memory, snapshot, assessment)

    def _next(self) -> None:
        meta = self.shard["metadata"]
        meta["resourceVersion"] = str(int(meta["resourceVersion"]) + 1)


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    scene: Scene
    shard = {
        "metadata": {"name": "f-0", "namespace": "n", "uid": "s", "resourceVersion": "7"},
        "spec": {"feed": "f", "worker": 0, "contracts": []},
        "status": {"startedAt": "2026-11-21T12:00:00Z", "session": "Streaming", "lastTickTime": "a"},
    }

    async def handle(request: web.Request) -> web.Response:
        return await scene.handle(request)

    app = web.Application()
    app.router.add_route("*", f"{shards_path('n')}/f-0", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    configuration.retries = None
    async with KubeClient(ApiClient(configuration), lambda: scene.leads) as cluster, aiohttp.ClientSession() as http:
        scene = Scene(cluster, http, shard)
        scene.hear()
        yield scene
        await runner.cleanup()


@contextlib.asynccontextmanager
async def waiting(scene: Scene) -> AsyncIterator[asyncio.Task[None]]:
    """A write that waits until the context ends, since all turns are taken."""
    shards = scene.shards()
    async with contextlib.AsyncExitStack() as turns:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                while True:
                    await turns.enter_async_context(scene.shared.kube.turn())
        write = asyncio.create_task(shards.patch(shards[0], {"home": [5]}))
        await asyncio.sleep(0.05)
        yield write
        assert scene.calls == []


@pytest.mark.asyncio
class TestWriteThatWaits:
    async def test_a_status_that_tells_nothing_new_does_not_have_it_refused(self, scene: Scene) -> None:
        async with waiting(scene) as write:
            scene.report(lastTickTime="b")
            scene.hear()
        await write
        assert scene.calls == ["PATCH"]
        assert scene.shard["spec"]["home"] == [5]

    async def test_nor_does_one_that_the_watch_has_yet_to_tell(self, scene: Scene) -> None:
        async with waiting(scene) as write:
            scene.report(lastTickTime="b")
        await write
        assert scene.calls == ["PATCH", "GET", "PATCH"]
        assert scene.shard["spec"]["home"] == [5]

    @pytest.mark.parametrize("heard", [True, False])
    async def test_what_its_decision_rests_on_has_changed(self, scene: Scene, heard: bool) -> None:
        async with waiting(scene) as write:
            scene.report(session="Reconnecting")
            if heard:
                scene.hear()
        with pytest.raises(ConflictError):
            await write
        assert scene.calls == ([] if heard else ["PATCH", "GET"])
        assert "home" not in scene.shard["spec"]

    async def test_a_leader_that_is_none_any_more_when_its_turn_comes_sends_nothing(self, scene: Scene) -> None:
        async with waiting(scene) as write:
            scene.leads = False
        with pytest.raises(NotLeadingError):
            await write
        assert scene.calls == []
