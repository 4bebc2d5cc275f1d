"""An API server that is a dictionary, as far as operator and workers need one; its two faces are theirs.

Compare-and-swap, generations, label selectors and merge-patches are as in the real one; admission, owner references and
watches of anything but IbShards are not there.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import queue
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import msgspec

from datapath.virtual_time import Outside
from ibfeed_api.kinds import API_VERSION, FEED_KIND, shard_name
from ibfeed_api.labels import COMPONENT_WORKER, LABEL_COMPONENT, LABEL_FEED
from ibfeed_api.worker_pod import WORKER_CONTAINER
from ibfeed_operator.controller.snapshot import leases_path, shards_path
from ibfeed_operator.kube import client as operator_client
from ibfeed_operator.kube import errors
from ibfeed_worker.kube import client as worker_client

_BOOKMARK_S: Final = 60.0

Object = dict[str, Any]
Changed = Callable[[str, Object, bool], None]
"""Path and state of an object that somebody wrote, and whether it was deleted."""


class MissingError(Exception):
    pass


class StaleError(Exception):
    """Somebody else wrote first, or it is there already."""


class Objects:
    """``on_change`` is called after each write."""

    def __init__(self) -> None:
        self.on_change: list[Changed] = []
        self._objects: dict[str, Object] = {}
        self._version = 0

    def read(self, path: str) -> Object:
        try:
            return self._objects[path]
        except KeyError:
            raise MissingError(path) from None

    def below(self, collection: str, labels: str = "") -> list[Object]:
        return [
            found
            for path, found in self._objects.items()
            if path.rpartition("/")[0] == collection and _selected(found, labels)
        ]

    def create(self, path: str, body: Object) -> Object:
        if path in self._objects:
            raise StaleError(path)
        made = copy.deepcopy(body)
        made["metadata"] |= {"uid": made["metadata"].get("uid") or str(uuid.uuid4()), "generation": 1}
        return self._store(path, made)

    def patch(self, path: str, body: Object) -> Object:
        """Merge-patch; with ``metadata.resourceVersion`` only if nobody wrote since."""
        known = self.read(path)
        wanted = (body.get("metadata") or {}).get("resourceVersion")
        if wanted not in (None, known["metadata"]["resourceVersion"]):
            raise StaleError(path)
        merged: Object = _merged(known, body)
        if merged.get("spec") != known.get("spec"):
            generation = known["metadata"]["generation"] + 1
            merged["metadata"] = merged["metadata"] | {"generation": generation}
        return self._store(path, merged)

    def replace(self, path: str, part: str, value: Object) -> Object:
        """Write one whole part, such as ``status``."""
        return self._store(path, {**self.read(path), part: value})

    def delete(self, path: str) -> None:
        gone = self.read(path)
        del self._objects[path]
        self._version += 1
        self._tell(path, {**gone, "metadata": gone["metadata"] | {"resourceVersion": str(self._version)}}, True)

    @property
    def version(self) -> str:
        """Of the latest write."""
        return str(self._version)

    def _store(self, path: str, body: Object) -> Object:
        self._version += 1
        body["metadata"] = body["metadata"] | {"resourceVersion": str(self._version)}
        self._objects[path] = body
        self._tell(path, body, False)
        return body

    def _tell(self, path: str, body: Object, deleted: bool) -> None:
        for told in list(self.on_change):
            told(path, body, deleted)


def _merged(known: Any, patch: Any) -> Any:
    """RFC 7396. What is stored is never changed in place: readers hold it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(known) if isinstance(known, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def _selected(found: Object, labels: str) -> bool:
    has: dict[str, str] = found["metadata"].get("labels") or {}
    for term in filter(None, labels.split(",")):
        key, equals, value = term.partition("=")
        if key not in has or (equals and has[key] != value):
            return False
    return True


def _has_fields(found: Object, fields: str) -> bool:
    """Whether an object matches a field selector: terms ``path.with.dots=value``, joined by commas."""
    for term in filter(None, fields.split(",")):
        name, _, wanted = term.partition("=")
        value: Any = found
        for part in name.split("."):
            value = (value or {}).get(part)
        if value != wanted:
            return False
    return True


class OperatorsCluster(operator_client.KubeClient):
    """The operator's face."""

    def __init__(self, objects: Objects) -> None:
        self._objects: Final = objects

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A dictionary is never busy."""
        yield

    async def get(self, path: str) -> bytes:
        return msgspec.json.encode(self._ask(self._objects.read, path))

    async def list(self, path: str, *, labels: str = "", fields: str = "") -> operator_client.Items:
        found, _ = await self.list_at(path, labels=labels, fields=fields)
        return found

    async def list_at(self, path: str, *, labels: str = "", fields: str = "") -> tuple[operator_client.Items, str]:
        every = self._objects.below(path, labels)
        found = [msgspec.Raw(msgspec.json.encode(one)) for one in every if _has_fields(one, fields)]
        return found, self._objects.version

    async def watch(
        self, path: str, query: dict[str, str], *, labels: str = "", silence_s: float
    ) -> AsyncIterator[bytes]:
        """Ends when the reader's time is over; begins where the list ended, as nothing runs in between."""
        lines: asyncio.Queue[Object] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        end = loop.time() + float(query["timeoutSeconds"])

        def tell(written: str, body: Object, deleted: bool) -> None:
            if written.rpartition("/")[0] == path and _selected(body, labels):
                lines.put_nowait({"type": "DELETED" if deleted else "MODIFIED", "object": body})

        self._objects.on_change.append(tell)
        try:
            while (left := end - loop.time()) > 0:
                yield msgspec.json.encode(await self._next(lines, min(left, _BOOKMARK_S)))
        finally:
            self._objects.on_change.remove(tell)

    async def _next(self, lines: asyncio.Queue[Object], within_s: float) -> Object:
        try:
            async with asyncio.timeout(within_s):
                return await lines.get()
        except TimeoutError:
            return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": self._objects.version}}}

    async def create(self, manifest: Object) -> bytes:
        if manifest["kind"] == "Event":
            return b"{}"
        return msgspec.json.encode(self._ask(self._objects.create, operator_client.path_of(manifest), manifest))

    async def apply(self, manifest: Object, *, resource_version: str | None, subresource: str = "") -> bytes:
        path = operator_client.path_of(manifest)
        if resource_version is None:
            return await self.create(manifest)
        known = self._ask(self._objects.read, path)
        if known["metadata"]["resourceVersion"] != resource_version:
            raise errors.ConflictError(path, 409)
        part = subresource or "spec"
        return msgspec.json.encode(self._objects.replace(path, part, manifest.get(part) or {}))

    async def patch(self, path: str, body: Object) -> bytes:
        return msgspec.json.encode(self._ask(self._objects.patch, path, body))

    async def delete(self, path: str, *, resource_version: str | None = None, uid: str | None = None) -> None:
        self._ask(self._objects.delete, path)

    @staticmethod
    def _ask(call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except MissingError as error:
            raise errors.NotFoundError(str(error), 404) from None
        except StaleError as error:
            raise errors.ConflictError(str(error), 409) from None


class WorkersKube(worker_client.Kube):
    """A worker's face. Its IbShard is followed by a thread, as the real one is: the clock waits until that has told."""

    def __init__(
        self, objects: Objects, outside: Outside, namespace: str, secrets: dict[str, dict[str, bytes]]
    ) -> None:
        self._objects: Final = objects
        self._outside: Final = outside
        self._namespace = namespace
        self._secrets: Final = secrets
        self._news: queue.SimpleQueue[Object | None] = queue.SimpleQueue()
        self._shard = ""  # the path of the one that is followed
        self._following = threading.Lock()
        objects.on_change.append(self._on_change)

    async def read_lease(self, name: str) -> Object:
        return self._ask(self._objects.read, f"{leases_path(self._namespace)}/{name}")

    async def patch_lease(self, name: str, body: Object) -> Object:
        return self._ask(self._objects.patch, f"{leases_path(self._namespace)}/{name}", body)

    async def patch_shard_status(self, name: str, body: Object) -> Object:
        return self._ask(self._objects.patch, f"{shards_path(self._namespace)}/{name}", body)

    def read_secret(self, name: str) -> dict[str, bytes]:
        return self._secrets[name]

    def list_shard(self, name: str) -> tuple[Object | None, str]:
        self._shard = f"{shards_path(self._namespace)}/{name}"
        try:
            return self._objects.read(self._shard), "0"
        except MissingError:
            return None, "0"

    def watch_shard(self, name: str, since: str) -> Iterator[tuple[str, Object]]:
        try:
            while (body := self._news.get()) is not None:
                try:
                    yield "MODIFIED", body
                finally:
                    self._outside.end()
        finally:
            self._stop_following()

    def close(self) -> None:
        """Let the thread end."""
        self._objects.on_change.remove(self._on_change)
        self._news.put(None)

    def _stop_following(self) -> None:
        """The thread has ended: the clock must not wait for what it will never hear."""
        with self._following:
            self._shard = ""
            while not self._news.empty():
                if self._news.get() is not None:
                    self._outside.end()

    def _on_change(self, path: str, body: Object, deleted: bool) -> None:
        with self._following:
            if path == self._shard and not deleted:  # nobody deletes one here
                self._outside.begin()
                self._news.put(body)

    @staticmethod
    def _ask(call: Callable[..., Object], *arguments: Any) -> Object:
        try:
            return call(*arguments)
        except MissingError as error:
            raise worker_client.NotFoundError(str(error)) from None
        except StaleError as error:
            raise worker_client.ConflictError(str(error)) from None


def feed(namespace: str, name: str, spec: Object) -> Object:
    """An IbFeed as a user would apply it."""
    return {
        "apiVersion": API_VERSION,
        "kind": FEED_KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def pod(namespace: str, feed_name: str, number: int, *, uid: str, ip: str, started_at: str) -> Object:
    """A worker's pod whose container runs."""
    container = {
        "name": WORKER_CONTAINER,
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": started_at}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": shard_name(feed_name, number),
            "namespace": namespace,
            "uid": uid,
            "labels": {LABEL_FEED: feed_name, LABEL_COMPONENT: COMPONENT_WORKER},
        },
        "spec": {"nodeName": "here"},
        "status": {"phase": "Running", "podIP": ip, "containerStatuses": [container]},
    }
