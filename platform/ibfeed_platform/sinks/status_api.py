"""The one call that a sink makes to the Kubernetes API: a merge patch of its IbSink's status."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from ibfeed_api.kinds import API_VERSION, SINK_FIELD_MANAGER, SINK_PLURAL
from ibfeed_api.worker_pod import address_of

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LIMIT: Final = aiohttp.ClientTimeout(total=10.0)
_HEADERS: Final = {"Content-Type": "application/merge-patch+json"}


class StatusError(Exception):
    """The status was not written. The text is the API server's, or says why it was not reached."""


@dataclass(frozen=True)
class ApiServer:
    """Where the API server is, and how to show who asks.

    Args:
        token: the file of the ServiceAccount's token, which is read for each call since it is replaced hourly;
            None: no token is shown.
        ca: the file of the server's CA; None: a public one.
    """

    url: str
    token: Path | None = None
    ca: Path | None = None

    @classmethod
    def of_pod(cls) -> ApiServer:
        """Return that of the pod's ServiceAccount."""
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
        return cls(f"https://{address_of(host, port)}", _ACCOUNT / "token", _ACCOUNT / "ca.crt")


class StatusApi:
    """The writer of one IbSink's status, to be used as an asynchronous context manager."""

    def __init__(self, server: ApiServer, namespace: str, sink: str) -> None:
        self._server: Final = server
        self._url: Final = f"{server.url}/apis/{API_VERSION}/namespaces/{namespace}/{SINK_PLURAL}/{sink}/status"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> StatusApi:
        ca = self._server.ca
        trust = ssl.create_default_context(cafile=str(ca)) if ca is not None else None
        connector = aiohttp.TCPConnector(ssl=trust) if trust is not None else aiohttp.TCPConnector()
        self._session = aiohttp.ClientSession(connector=connector, timeout=_LIMIT, headers=_HEADERS)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def patch(self, body: dict[str, Any]) -> None:
        """Merge ``body`` into the IbSink. Raises StatusError."""
        if self._session is None:
            raise StatusError("the connection to the API server is not open")
        headers = {}
        try:
            if self._server.token is not None:
                headers["Authorization"] = f"Bearer {self._server.token.read_text().strip()}"
            query = {"fieldManager": SINK_FIELD_MANAGER}
            async with self._session.patch(self._url, json=body, params=query, headers=headers) as answer:
                if answer.status >= 300:
                    raise StatusError(f"the API server answers {answer.status}: {(await answer.text())[:300]}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StatusError(f"the API server is not reached: {type(error).__name__}") from None
