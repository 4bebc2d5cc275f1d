"""The Kubernetes API, as thin as possible: paths in, JSON out, a time limit on every call.

It uses the official client's asynchronous transport (authentication, kubeconfig, token renewal) and none of its models:
answers go as bytes into the typed values of ``model/``. Its errors are in ``errors.py``.

A leader that was paused for a while (its process or machine) finds out only when it runs again, in the middle of its
work. So each write asks at the last moment whether this process still leads. A write that slips through between
that question and the wire meets a resourceVersion: every write names the one that its decision rests on.

Three kinds of writes name none: creations (the API server lets one succeed), events, and the operator's key, of which
each holder writes its own when it next needs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from ibfeed_api.kinds import FEED_PLURAL, OPERATOR_FIELD_MANAGER, SHARD_PLURAL
from ibfeed_operator.kube.errors import ConflictError, KubeError, NotFoundError, NotLeadingError, UnreachableError

TIMEOUT_S: Final = 10.0
CONNECTIONS: Final = 16  # three of them for watches; each takes up to 0.4 MB, and a handshake after it was idle
_TURNS: Final = 8  # concurrent writes: enough to keep an API server busy; one on its way may be overtaken by others'
_PAGE: Final = 100  # items; of shards that is a megabyte and more, which is in memory twice while it is read

JsonObject = dict[str, Any]
Items = list[msgspec.Raw]  # each as its JSON text

_PLURALS: Final = {
    "IbShard": SHARD_PLURAL,
    "IbFeed": FEED_PLURAL,
    "NetworkPolicy": "networkpolicies",
}


class _ErrorStatus(msgspec.Struct):
    message: str = ""


def collection(api_version: str, plural: str, namespace: str | None = None) -> str:
    """Return the path of a collection, such as ``/apis/apps/v1/namespaces/default/statefulsets``."""
    base = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    scope = f"/namespaces/{quote(namespace)}" if namespace is not None else ""
    return f"{base}{scope}/{plural}"


def path_of(manifest: JsonObject) -> str:
    """Return the path of the object that ``manifest`` describes."""
    kind = manifest["kind"]
    plural = _PLURALS.get(kind, kind.lower() + "s")
    meta = manifest["metadata"]
    return f"{collection(manifest['apiVersion'], plural, meta['namespace'])}/{quote(meta['name'])}"


class KubeClient:
    """A connection pool to one API server, to be used as an asynchronous context manager.

    ``may_write`` is called before each write is sent.
    """

    def __init__(self, client: ApiClient, may_write: Callable[[], bool] = lambda: True) -> None:
        self._client = client
        self._may_write = may_write
        self._turns = asyncio.Semaphore(_TURNS)

    @classmethod
    async def connect(cls, may_write: Callable[[], bool] = lambda: True) -> KubeClient:
        """Connect with the pod's service account, else with KUBECONFIG or ``~/.kube/config``."""
        configuration = Configuration()
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(client_configuration=configuration)
        configuration.retries = None  # the reconciler retries; False would mean to retry a 5xx for ever
        configuration.connection_pool_maxsize = CONNECTIONS
        return cls(ApiClient(configuration), may_write)

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn to write. A caller with many writes at once takes a turn for each.

        A write with a turn need not wait for a connection. So the state that it rests on, and whether this process
        leads, can be checked at the last moment. Raises UnreachableError if no turn is free within ``TIMEOUT_S``.
        """
        with _reachable("a turn to write"):
            async with asyncio.timeout(TIMEOUT_S):
                await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()

    async def get(self, path: str) -> bytes:
        return await self._request("GET", path)

    async def list(self, path: str, *, labels: str = "", fields: str = "") -> Items:
        """Return all items of a collection, each as its JSON text, read page by page from the server's newest state."""
        items, _ = await self.list_at(path, labels=labels, fields=fields)
        return items

    async def list_at(self, path: str, *, labels: str = "", fields: str = "") -> tuple[Items, str]:
        """Return the same as ``list``, with the resourceVersion from which a watch goes on."""
        items: Items = []
        query = {"limit": str(_PAGE)} | ({"labelSelector": labels} if labels else {})
        query |= {"fieldSelector": fields} if fields else {}
        while True:
            page = msgspec.json.decode(await self._request("GET", path, query=query), type=_Page)
            items.extend(page.items or ())
            if not page.metadata.next:
                return items, page.metadata.resource_version
            query["continue"] = page.metadata.next

    async def watch(
        self, path: str, query: dict[str, str], *, labels: str = "", silence_s: float
    ) -> AsyncIterator[bytes]:
        """Yield the events of a collection, each as its JSON text, until the server ends the watch.

        Raises UnreachableError if the connection breaks or no event comes for ``silence_s``, KubeError if the server
        refuses the watch.
        """
        query = query | {"watch": "true", "allowWatchBookmarks": "true"} | ({"labelSelector": labels} if labels else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=silence_s)
        call = f"watch {path}"
        with _reachable(call):
            response = await self._send("GET", path, query=query, timeout=timeout)
            stream: aiohttp.ClientResponse = response.response
        try:
            if response.status >= 300:
                with _reachable(call):
                    raise _refusal(response.status, await stream.read(), call)
            rest = b""
            while True:
                with _reachable(call):
                    chunk = await stream.content.readany()
                if not chunk:
                    return
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
        finally:
            stream.close()

    async def create(self, manifest: JsonObject) -> bytes:
        query = {"fieldManager": OPERATOR_FIELD_MANAGER}
        return await self._request("POST", path_of(manifest).rsplit("/", 1)[0], query=query, body=manifest)

    async def apply(self, manifest: JsonObject, *, resource_version: str | None, subresource: str = "") -> bytes:
        """Apply an object on the server. A field of ours that another client has taken is taken back.

        Raises ConflictError if the object is no longer at ``resource_version``. None: there was no such object.
        """
        if resource_version is not None:
            manifest = manifest | {"metadata": manifest["metadata"] | {"resourceVersion": resource_version}}
        query = {"fieldManager": OPERATOR_FIELD_MANAGER, "force": "true"}
        path = path_of(manifest) + (f"/{subresource}" if subresource else "")
        return await self._request(
            "PATCH", path, query=query, body=manifest, content_type="application/apply-patch+yaml"
        )

    async def review(self, path: str, body: JsonObject) -> bytes:
        """Ask the API server to review a token or a right. Such an object is answered, and never stored."""
        return await self._request("POST", path, body=body)

    async def patch(self, path: str, body: JsonObject) -> bytes:
        """Merge-patch an object.

        Raises ConflictError if ``body`` has ``metadata.resourceVersion`` and the object was written since.
        """
        query = {"fieldManager": OPERATOR_FIELD_MANAGER}
        return await self._request("PATCH", path, query=query, body=body, content_type="application/merge-patch+json")

    async def delete(self, path: str, *, resource_version: str | None = None, uid: str | None = None) -> None:
        """Delete an object unless it changed meanwhile. An object that is gone already is a success."""
        preconditions = {"resourceVersion": resource_version, "uid": uid}
        given = {key: value for key, value in preconditions.items() if value is not None}
        try:
            await self._request("DELETE", path, body={"preconditions": given} if given else None)
        except NotFoundError:
            return

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        call = f"{method} {path}"
        with _reachable(call):
            response = await self._send(
                method, path, query=query, body=body, content_type=content_type, timeout=timeout
            )
            data: bytes = await response.read()
        if response.status < 300:
            return data
        raise _refusal(response.status, data, call)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Any:
        # Without compression, since compressing megabytes takes the API server longer than sending them.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": content_type}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        if method != "GET" and not self._may_write():
            raise NotLeadingError(f"{method} {path}: not sent, this operator no longer leads")
        return await self._client.rest_client.request(method, url, headers=headers, body=body, _request_timeout=timeout)


@contextlib.contextmanager
def _reachable(call: str) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise UnreachableError(f"{call}: {type(error).__name__}: {error}") from error


class _ListMeta(msgspec.Struct):
    next: str = msgspec.field(name="continue", default="")
    resource_version: str = msgspec.field(name="resourceVersion", default="")


class _Page(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


def _refusal(status: int, data: bytes, call: str) -> KubeError:
    try:
        message = msgspec.json.decode(data, type=_ErrorStatus).message
    except msgspec.MsgspecError:
        message = data[:200].decode(errors="replace")
    text = f"{call}: {status}: {message}"
    kind = {404: NotFoundError, 409: ConflictError}.get(status, KubeError)
    return kind(text, status)
