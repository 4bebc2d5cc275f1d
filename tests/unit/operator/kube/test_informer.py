"""Following a collection, over HTTP, from a server that does what API servers do on bad days."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import KubeError
from ibfeed_operator.kube.informer import Informer
from ibfeed_operator.kube.store import Change

PATH = "/apis/ibfeed.dev/v1alpha1/ibshards"
EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}

Say = Callable[[bytes], Awaitable[None]]


class _Thing(msgspec.Struct):
    value: str


def thing(name: str, version: int, value: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n", "resourceVersion": str(version)}, "value": value}


def event(kind: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


class Server:
    """Lists ``items`` at ``version``; each watch does what the next of ``watches`` says, the last one then hangs."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.version = 10
        self.watches: list[Callable[[Say], Awaitable[None]]] = []
        self.since: list[str] = []
        self.lists = 0
        self.refuses = 0
        self.may_list = asyncio.Event()
        self.may_list.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            self.lists += 1
            items, version = list(self.items), self.version
            await self.may_list.wait()
            if self.refuses:
                self.refuses -= 1
                return web.json_response({"message": "overloaded"}, status=503)
            return web.json_response({"metadata": {"resourceVersion": str(version)}, "items": items})
        assert request.query["allowWatchBookmarks"] == "true"
        assert int(request.query["timeoutSeconds"]) > 0
        self.since.append(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        if self.watches:
            await self.watches.pop(0)(response.write)
        else:
            await asyncio.sleep(60)
        if request.transport is not None:
            request.transport.close()
        return response


@pytest_asyncio.fixture
async def server() -> AsyncIterator[tuple[Server, KubeClient]]:
    server = Server()
    app = web.Application()
    app.add_routes([web.get(PATH, server.handle)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    configuration.retries = None
    async with KubeClient(ApiClient(configuration)) as cluster:
        yield server, cluster
    await runner.cleanup()


class Seen:
    """A follower that runs, and all that it told."""

    def __init__(self, cluster: KubeClient, *, fresh_s: float = 60.0, silence_s: float = 60.0) -> None:
        self.changes: list[tuple[str | None, str | None]] = []
        self.informer: Informer[str] = Informer(cluster, PATH, _value, fresh_s=fresh_s, silence_s=silence_s)
        self.informer.listen(self._tell)

    def _tell(self, change: Change[str]) -> None:
        self.changes.append((change.before, change.after))

    @property
    def now(self) -> dict[str, str]:
        return {key[1]: value for key, value in self.informer.values()}

    async def until(self, ask: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not ask():  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)


def _value(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=_Thing).value


@contextlib.asynccontextmanager
async def following(seen: Seen) -> AsyncIterator[Seen]:
    task = asyncio.create_task(seen.informer.run())
    try:
        yield seen
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def hang(_: Say) -> None:
    await asyncio.sleep(60)


Both = tuple[Server, KubeClient]


@pytest.mark.asyncio
class TestWatch:
    async def test_events_in_pieces(self, server: Both) -> None:
        api, cluster = server
        api.items = [thing("a", 3, "1")]
        told = event("MODIFIED", thing("a", 11, "2")) + event("ADDED", thing("b", 12, "ü"))

        async def watch(say: Say) -> None:
            for at in range(0, len(told), 7):
                await say(told[at : at + 7])
            await hang(say)

        api.watches = [watch]
        async with following(Seen(cluster)) as seen:
            await seen.until(lambda: seen.now == {"a": "2", "b": "ü"})
        assert seen.changes == [(None, "1"), ("1", "2"), (None, "ü")]
        assert api.since == ["10"]

    @pytest.mark.parametrize(
        "end",
        [
            pytest.param(event("ERROR", EXPIRED), id="410 Gone"),
            pytest.param(event("ERROR", {"kind": "Status", "code": 500, "message": "etcd"}), id="another error"),
            pytest.param(event("MODIFIED", thing("a", 12, "never"))[:-9], id="cut in the middle of an event"),
            pytest.param(b"", id="cut"),
        ],
    )
    async def test_that_ends_is_begun_anew_with_a_list(self, server: Both, end: bytes) -> None:
        """What vanished meanwhile is gone, though no event ever says so; what came is there."""
        api, cluster = server
        api.items = [thing("a", 3, "1"), thing("ghost", 4, "1")]

        async def watch(say: Say) -> None:
            await say(event("MODIFIED", thing("a", 11, "2")))
            api.items, api.version = [thing("a", 20, "3"), thing("b", 21, "1")], 30
            if end:
                await say(end)
            if b"ERROR" in end:  # the server need not hang up
                await hang(say)

        api.watches = [watch]
        async with following(Seen(cluster)) as seen:
            await seen.until(lambda: seen.now == {"a": "3", "b": "1"} and len(api.since) == 2)
        assert api.since == ["10", "30"]
        assert ("1", None) in seen.changes

    async def test_that_is_silent_is_begun_anew(self, server: Both) -> None:
        api, cluster = server

        async def watch(say: Say) -> None:
            api.items, api.version = [thing("a", 11, "1")], 11
            await hang(say)

        api.watches = [watch]
        async with following(Seen(cluster, silence_s=0.3)) as seen:
            await seen.until(lambda: seen.now == {"a": "1"})

    async def test_a_server_that_refuses_is_asked_again_but_not_at_once(self, server: Both) -> None:
        api, cluster = server
        api.refuses, api.items = 2, [thing("a", 3, "1")]
        async with following(Seen(cluster)) as seen:
            await asyncio.sleep(0.7)
            assert api.lists == 1
            await seen.until(lambda: seen.now == {"a": "1"})
        assert api.lists == 3

    async def test_an_object_that_cannot_be_read_hides_no_other(self, server: Both) -> None:
        api, cluster = server
        api.items = [thing("a", 3, "1"), {"metadata": {"name": "b", "namespace": "n"}, "value": 7}]
        async with following(Seen(cluster)) as seen:
            await seen.until(lambda: seen.now == {"a": "1"})


@pytest.mark.asyncio
class TestFreshness:
    async def test_a_watch_that_was_just_heard_is_relied_on(self, server: Both) -> None:
        api, cluster = server
        async with following(Seen(cluster)) as seen:
            await seen.until(lambda: bool(api.since))
            for _ in range(3):
                await seen.informer.fresh()
        assert api.lists == 1

    async def test_a_watch_that_hangs_does_not_hide_what_happens(self, server: Both) -> None:
        api, cluster = server
        async with following(Seen(cluster, fresh_s=0.0)) as seen:
            await seen.until(lambda: bool(api.since))
            api.items, api.version = [thing("a", 11, "1")], 11
            await seen.informer.fresh()
            assert seen.now == {"a": "1"}
        assert seen.changes == [(None, "1")]

    async def test_after_a_write_that_failed_one_list_is_waited_for(self, server: Both) -> None:
        api, cluster = server
        async with following(Seen(cluster)) as seen:
            await seen.until(lambda: bool(api.since))
            with pytest.raises(TimeoutError), seen.informer.writing():
                raise TimeoutError
            api.refuses = 1
            with pytest.raises(KubeError):
                await seen.informer.fresh()
            api.items, api.version = [thing("a", 11, "1")], 11  # it was done all the same
            await asyncio.gather(seen.informer.fresh(), seen.informer.fresh())
            assert seen.now == {"a": "1"}
        assert api.lists == 3

    async def test_a_doubt_that_comes_while_it_lists_is_not_settled_by_that_list(self, server: Both) -> None:
        api, cluster = server
        async with following(Seen(cluster)) as seen:
            await seen.until(lambda: bool(api.since))
            seen.informer.mark_stale()
            api.may_list.clear()
            cycles = [asyncio.create_task(seen.informer.fresh()) for _ in range(2)]
            await seen.until(lambda: api.lists == 2)
            api.items, api.version = [thing("a", 11, "1")], 11
            seen.informer.mark_stale()
            api.may_list.set()
            await asyncio.gather(*cycles)
            assert seen.now == {"a": "1"}
        assert api.lists == 3

    async def test_what_was_written_is_known_at_once(self, server: Both) -> None:
        api, cluster = server
        api.items = [thing("a", 3, "1")]
        async with following(Seen(cluster)) as seen:
            await seen.until(lambda: bool(api.since))
            seen.informer.wrote(json.dumps(thing("a", 12, "mine")).encode(), "mine")
            assert seen.now == {"a": "mine"}
