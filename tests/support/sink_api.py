"""An API server in memory, as far as an operator of sinks needs one: lists, merge patches, server-side apply."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from ibfeed_operator.kube.client import KubeClient

SINKS = "/apis/ibfeed.dev/v1alpha1/namespaces/markets/ibsinks"
FEEDS = "/apis/ibfeed.dev/v1alpha1/namespaces/markets/ibfeeds"
PODS = "/api/v1/namespaces/markets/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/markets/deployments"
EVENTS = "/api/v1/namespaces/markets/events"


@dataclass
class SinkApi:
    """The objects by path. ``writes`` are all that came, as (content type or method, path, body).

    Args:
        reads: the paths that were read.
    """

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    version: int = 100

    def put(self, collection: str, name: str, **parts: Any) -> None:
        """Create an object, or replace it."""
        self.version += 1
        meta = {"name": name, "namespace": "markets", "uid": f"u-{name}", "generation": 1}
        meta |= parts.pop("metadata", {})
        self.objects[f"{collection}/{name}"] = {"metadata": meta | {"resourceVersion": str(self.version)}} | parts

    def remove(self, collection: str, name: str) -> None:
        del self.objects[f"{collection}/{name}"]

    def status(self, sink: str) -> dict[str, Any]:
        found: dict[str, Any] = self.objects[f"{SINKS}/{sink}"].get("status", {})
        return found

    def ready(self, sink: str) -> tuple[str, str, str]:
        (ready,) = (each for each in self.status(sink)["conditions"] if each["type"] == "Ready")
        return ready["status"], ready["reason"], ready["message"]

    def events(self) -> list[tuple[str, str]]:
        return [(body["type"], body["reason"]) for _, path, body in self.writes if path == EVENTS]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            response = web.StreamResponse()
            await response.prepare(request)
            await asyncio.sleep(0.2)  # nothing happens, and then the server ends the watch
            return response
        if request.method == "GET":
            return self._read(request.path)
        return await self._write(request)

    def _read(self, path: str) -> web.Response:
        self.reads.append(path)
        if path in (SINKS, PODS, DEPLOYMENTS):
            items = [item for where, item in sorted(self.objects.items()) if where.rpartition("/")[0] == path]
            return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})
        found = self.objects.get(path)
        return web.json_response(found or {"message": f"{path} not found"}, status=200 if found else 404)

    async def _write(self, request: web.Request) -> web.Response:
        body, path = await request.json(), request.path
        self.writes.append((request.content_type.removeprefix("application/"), path, body))
        if request.method == "POST":
            body["metadata"]["resourceVersion"] = str(self.version)
            self.objects[f"{path}/{body['metadata']['name']}"] = body
            return web.json_response(body, status=201)
        before = self.objects.get(path.removesuffix("/status"))
        if before is None and request.content_type == "application/merge-patch+json":
            return web.json_response({"message": f"{path} not found"}, status=404)
        version = body.get("metadata", {}).pop("resourceVersion", None)
        if before is not None and version not in (None, before["metadata"]["resourceVersion"]):
            return web.json_response({"message": "the object has been modified"}, status=409)
        self.version += 1
        merged = _merge(before or {}, body)
        merged["metadata"] |= {"resourceVersion": str(self.version)}
        merged["metadata"].setdefault("uid", f"u-{self.version}")
        self.objects[path.removesuffix("/status")] = merged
        return web.json_response(merged)


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON merge patch of ``target`` (RFC 7396)."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = _merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return json.loads(json.dumps(merged))  # type: ignore[no-any-return]


@contextlib.asynccontextmanager
async def sink_api() -> AsyncIterator[tuple[SinkApi, KubeClient]]:
    """Serve an empty API, with a client of it."""
    api, app = SinkApi(), web.Application()
    app.router.add_route("*", "/{rest:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    configuration.retries = None
    async with KubeClient(ApiClient(configuration)) as kube:
        yield api, kube
    await runner.cleanup()
