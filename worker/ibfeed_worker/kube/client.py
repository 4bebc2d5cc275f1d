"""pykube-ng's HTTP client with two additions: a token that is read again as it rotates, and errors by kind."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import requests
from pykube.config import KubeConfig
from pykube.http import HTTPClient, KubernetesHTTPAdapter
from urllib3.connection import HTTPConnection

from ibfeed_api.kinds import API_VERSION, SHARD_PLURAL
from ibfeed_api.log import Log
from ibfeed_worker.kube.thread import in_thread

Object = dict[str, Any]
MERGE_PATCH: Final = {"Content-Type": "application/merge-patch+json"}
LEASES: Final = "coordination.k8s.io/v1"
REQUEST_LIMIT: Final = 2.0  # seconds, for the whole of one call
STATUS_LIMIT: Final = 10.0  # nothing waits for a status; an early retry only adds to an API server's load
WATCH_SILENCE: Final = 75.0  # seconds; the server sends a bookmark about every minute
# A watch may be silent for a minute. After a cut the server's own retransmission has backed off, and would delay its
# news by as long again as the cut has lasted. So the kernel probes, and gives up after 11 s.
_PROBES: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
_log: Final = Log(__name__)
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeError(Exception):
    """The API server could not be asked, or refused."""


class NotFoundError(KubeError):
    """The object is not there."""


class ConflictError(KubeError):
    """The object was changed first by another client."""


class ForbiddenError(KubeError):
    """Our ServiceAccount may not do this."""


class GoneError(KubeError):
    """410: the watch's resourceVersion is too old; list again."""


_ERRORS: Final[Mapping[int, type[KubeError]]] = {
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
}


class _Adapter(KubernetesHTTPAdapter):
    """pykube's adapter with TCP keep-alive: it notices a dead connection, also one on which it only listens."""

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        options = [*HTTPConnection.default_socket_options, *_PROBES]
        super().init_poolmanager(*args, **more, socket_options=options)


class _RotatingToken(_Adapter):
    """An adapter that reads the token for each request.

    pykube reads it once, at start; a projected token is replaced every hour or so.
    """

    def __init__(self, config: KubeConfig, token: Path) -> None:
        super().__init__(config)
        self._token = token

    def _setup_request_auth(self, config: KubeConfig, request: requests.PreparedRequest, kwargs: Object) -> None:
        request.headers["Authorization"] = f"Bearer {self._token.read_text().strip()}"


def connect() -> HTTPClient:
    """Return a client of the pod's ServiceAccount; outside a pod, of the file in KUBECONFIG."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config = KubeConfig.from_service_account(str(_SERVICE_ACCOUNT))
        adapter = _RotatingToken(config, _SERVICE_ACCOUNT / "token")
        client = HTTPClient(config, timeout=REQUEST_LIMIT, http_adapter=adapter)
    else:
        config = KubeConfig.from_file()
        client = HTTPClient(config, timeout=REQUEST_LIMIT, http_adapter=_Adapter(config))
    client.session.trust_env = False  # a proxy for IB does not serve the API server
    return client


class Kube:
    """The API of one namespace. An async call takes at most REQUEST_LIMIT seconds, a status write STATUS_LIMIT.

    All calls raise KubeError.
    """

    def __init__(self, http: HTTPClient, namespace: str) -> None:
        self._http = http
        self._namespace = namespace

    async def read_lease(self, name: str) -> Object:
        return await self._call("GET", LEASES, f"leases/{name}")

    async def patch_lease(self, name: str, body: Object) -> Object:
        return await self._call("PATCH", LEASES, f"leases/{name}", body)

    async def patch_shard_status(self, name: str, body: Object) -> Object:
        return await self._call("PATCH", API_VERSION, f"{SHARD_PLURAL}/{name}/status", body, limit=STATUS_LIMIT)

    def read_secret(self, name: str) -> dict[str, bytes]:
        """Return the Secret's keys and values. Blocking."""
        found = self._request("GET", "v1", f"secrets/{name}")
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}

    def list_shard(self, name: str) -> tuple[Object | None, str]:
        """Return the IbShard, or None, and the resourceVersion from which to watch it. Blocking."""
        found = self._request("GET", API_VERSION, f"{SHARD_PLURAL}?fieldSelector=metadata.name%3D{name}")
        items = found.get("items") or []
        return (items[0] if items else None), found["metadata"]["resourceVersion"]

    def watch_shard(self, name: str, since: str) -> Iterator[tuple[str, Object]]:
        """Yield (type, object) of each event after ``since``; end when the server ends the watch. Blocking.

        Raises GoneError when ``since`` is too old, and KubeError when the connection breaks or is silent for
        WATCH_SILENCE.
        """
        path = (
            f"{SHARD_PLURAL}?watch=true&allowWatchBookmarks=true&timeoutSeconds=300"
            f"&resourceVersion={since}&fieldSelector=metadata.name%3D{name}"
        )
        try:
            with self._http.request(
                "GET",
                version=API_VERSION,
                namespace=self._namespace,
                url=path,
                stream=True,
                timeout=(REQUEST_LIMIT, WATCH_SILENCE),
            ) as answer:
                _check(answer)
                for line in answer.iter_lines(chunk_size=None):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        kind = _ERRORS.get(int(status.get("code", 0)), KubeError)
                        raise kind(str(status.get("message", "the watch ended with an error")))
                    yield event["type"], event["object"]
        except (requests.RequestException, OSError, ValueError) as error:
            raise KubeError(f"watch broke: {type(error).__name__}") from error

    async def _call(
        self, method: str, version: str, path: str, body: Object | None = None, *, limit: float = REQUEST_LIMIT
    ) -> Object:
        try:
            return await in_thread(
                lambda: self._request(method, version, path, body, limit=limit), limit=limit, name=f"kube {method}"
            )
        except TimeoutError:
            raise _unanswered(limit) from None

    def _request(
        self, method: str, version: str, path: str, body: Object | None = None, *, limit: float = REQUEST_LIMIT
    ) -> Object:
        sent: dict[str, Any] = {} if body is None else {"data": json.dumps(body), "headers": MERGE_PATCH}
        sent["timeout"] = limit
        try:
            answer = self._http.request(method, version=version, namespace=self._namespace, url=path, **sent)
            _log.debug("asked the API server", method=method, path=path, status=answer.status_code)
            _check(answer)
            found: Object = answer.json()
        except requests.Timeout:  # the client's limit may come before in_thread's: both raise the same error
            raise _unanswered(limit) from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise KubeError(f"API server unreachable: {type(error).__name__}") from error
        return found


def _unanswered(limit: float) -> KubeError:
    return KubeError(f"no answer from the API server within {limit:g} s")


def _check(answer: requests.Response) -> None:
    if answer.ok:
        return
    try:
        message = str(answer.json().get("message", ""))
    except (requests.RequestException, ValueError, AttributeError):
        message = ""
    kind = _ERRORS.get(answer.status_code, KubeError)
    raise kind(message or f"the API server answered {answer.status_code}")
