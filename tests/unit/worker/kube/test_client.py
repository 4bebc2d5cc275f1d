"""The API client and the watch, against an HTTP server that speaks as an API server does."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pykube.config import KubeConfig
from pykube.http import HTTPClient

from ibfeed_worker.kube import client as kube
from ibfeed_worker.kube.client import ConflictError, ForbiddenError, Kube, KubeError, NotFoundError
from ibfeed_worker.kube.thread import in_thread
from ibfeed_worker.shard.watch import Shard, ShardWatcher


def shard(generation: int, lines: int = 100) -> dict[str, Any]:
    return {
        "metadata": {"name": "energy-0", "generation": generation, "resourceVersion": str(generation)},
        "spec": {"feed": "energy", "worker": 0, "lines": lines},
    }


class ApiServer:
    """One IbShard, its watch, and single answers set by a test."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = [shard(1)]
        self.lists = 0
        self.watching: list[asyncio.Queue[dict[str, Any] | None]] = []
        self.answer: tuple[int, str] = (200, "{}")
        self.delay = 0.0
        self.seen: list[web.Request] = []
        self.bodies: list[str] = []
        self.url = ""

    def tell(self, kind: str, body: dict[str, Any]) -> None:
        for queue in self.watching:
            queue.put_nowait({"type": kind, "object": body})

    def end_watches(self) -> None:
        for queue in self.watching:
            queue.put_nowait(None)
        self.watching = []

    async def shards(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if "watch" not in request.query:
            self.lists += 1
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": self.items})
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.watching.append(queue)
        while (event := await queue.get()) is not None:
            await response.write(json.dumps(event).encode() + b"\n")
        return response

    async def single(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.text())
        await asyncio.sleep(self.delay)
        status, text = self.answer
        return web.Response(status=status, text=text, content_type="application/json")


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    app = web.Application()
    app.router.add_get("/apis/ibfeed.dev/v1alpha1/namespaces/here/ibshards", server.shards)
    app.router.add_route("*", "/{path:.*}", server.single)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    server.end_watches()
    await runner.cleanup()


@pytest.fixture
def cluster(api: ApiServer) -> Kube:
    return Kube(HTTPClient(KubeConfig.from_url(api.url), timeout=kube.REQUEST_LIMIT), "here")


async def until(what: Any) -> None:
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110 - what another thread does sets no event here
            await asyncio.sleep(0.01)


async def test_a_patch_of_the_status_is_a_merge_patch_of_the_subresource(api: ApiServer, cluster: Kube) -> None:
    await cluster.patch_shard_status("energy-0", {"status": {"reason": ""}})
    assert api.seen[0].method == "PATCH"
    assert api.seen[0].path == "/apis/ibfeed.dev/v1alpha1/namespaces/here/ibshards/energy-0/status"
    assert api.seen[0].headers["Content-Type"] == "application/merge-patch+json"
    assert api.bodies == ['{"status": {"reason": ""}}']


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, NotFoundError), (409, ConflictError), (403, ForbiddenError), (500, KubeError), (429, KubeError)],
)
async def test_errors_by_kind(api: ApiServer, cluster: Kube, status: int, error: type[Exception]) -> None:
    api.answer = (status, '{"kind":"Status","message":"because"}')
    with pytest.raises(error, match="because"):
        await cluster.read_lease("x")
    api.answer = (status, "<html>")
    with pytest.raises(error, match=str(status)):
        await cluster.read_lease("x")


async def test_a_secret(api: ApiServer, cluster: Kube) -> None:
    api.answer = (200, '{"data":{"username-1":"cGFwZXIx"}}')
    assert await in_thread(lambda: cluster.read_secret("paper"), limit=5, name="test") == {"username-1": b"paper1"}


async def test_a_hung_api_server_holds_a_call_two_seconds_and_the_loop_not_at_all(
    api: ApiServer, cluster: Kube
) -> None:
    api.delay = 10
    loop = asyncio.get_running_loop()
    begun, longest, last = loop.time(), 0.0, loop.time()
    calls: list[asyncio.Task[Any]] = [asyncio.create_task(cluster.read_lease("x")) for _ in range(5)]
    # ended by the client's own clock; of the others either clock may strike first
    calls.append(asyncio.create_task(in_thread(lambda: cluster.read_secret("paper"), limit=5, name="test")))
    while not all(call.done() for call in calls):
        await asyncio.sleep(0.01)
        longest, last = max(longest, loop.time() - last), loop.time()
    assert 1.9 < loop.time() - begun < 4
    assert longest < 1.5
    for call in calls:
        with pytest.raises(KubeError, match="no answer"):
            call.result()


async def test_a_rotated_token_is_used(api: ApiServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    config = KubeConfig.from_url(api.url)
    http = HTTPClient(config, http_adapter=kube._RotatingToken(config, token))
    await Kube(http, "here").read_lease("x")
    token.write_text("second\n")
    await Kube(http, "here").read_lease("x")
    assert [seen.headers["Authorization"] for seen in api.seen] == ["Bearer first", "Bearer second"]


async def test_the_shard_is_followed(api: ApiServer, cluster: Kube) -> None:
    heard: list[Shard | None] = []
    watcher = ShardWatcher(cluster, "energy-0", heard.append)
    watcher.start()
    await until(lambda: api.watching)
    assert heard[-1] == Shard(1, heard[-1].spec if heard[-1] else None)  # type: ignore[arg-type]
    api.tell("MODIFIED", shard(2, lines=50))
    await until(lambda: heard[-1] and heard[-1].generation == 2)
    assert heard[-1] is not None and heard[-1].spec.lines == 50
    api.tell("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    api.tell("DELETED", shard(2))
    await until(lambda: heard[-1] is None)
    api.tell("ADDED", shard(3))
    await until(lambda: heard[-1] and heard[-1].generation == 3)
    assert all(request.query["fieldSelector"] == "metadata.name=energy-0" for request in api.seen)
    watcher.stop()


@pytest.mark.parametrize("end", ["410", "closed", "broken"])
async def test_whatever_ends_a_watch_it_lists_again(api: ApiServer, cluster: Kube, end: str) -> None:
    heard: list[Shard | None] = []
    watcher = ShardWatcher(cluster, "energy-0", heard.append)
    watcher.start()
    await until(lambda: api.watching)
    api.items = []  # deleted in the dark: no event ever says so
    match end:
        case "410":
            api.tell("ERROR", {"kind": "Status", "code": 410, "message": "too old"})
        case "broken":
            api.tell("ERROR", {"kind": "Status", "code": 500, "message": "etcd"})
    api.end_watches()
    await until(lambda: api.lists >= 2)
    await until(lambda: heard and heard[-1] is None)
    watcher.stop()


async def test_our_own_status_is_no_news(api: ApiServer, cluster: Kube) -> None:
    heard: list[Shard | None] = []
    watcher = ShardWatcher(cluster, "energy-0", heard.append)
    watcher.start()
    await until(lambda: api.watching)
    api.tell("MODIFIED", {**shard(1), "status": {"lastTickTime": "2026-11-21T09:00:00Z"}})
    api.tell("MODIFIED", shard(2))
    await until(lambda: heard[-1] and heard[-1].generation == 2)
    api.items = [shard(2)]
    api.end_watches()  # nor is what a new list says again
    await until(lambda: api.lists >= 2 and api.watching)
    api.tell("DELETED", shard(2))
    await until(lambda: heard[-1] is None)
    assert [one.generation for one in heard if one] == [1, 2]
    watcher.stop()


async def test_a_spec_that_makes_no_sense_changes_nothing(api: ApiServer, cluster: Kube) -> None:
    heard: list[Shard | None] = []
    watcher = ShardWatcher(cluster, "energy-0", heard.append)
    watcher.start()
    await until(lambda: api.watching)
    api.tell("MODIFIED", {**shard(2), "spec": {"feed": "energy", "worker": 0, "contracts": [{"conid": "many"}]}})
    api.tell("MODIFIED", shard(3))
    await until(lambda: heard[-1] and heard[-1].generation == 3)
    assert [one.generation for one in heard if one] == [1, 3]
    assert watcher.alive
    watcher.stop()


async def test_a_call_in_a_thread_is_left_behind_when_it_is_too_slow() -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError):
        await in_thread(lambda: release.wait(5), limit=0.05, name="slow")
    release.set()
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0, limit=10, name="fails")
