"""The REST client of the gateway: pinned TLS, a time limit on every call, and one pacing budget for all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from ibfeed_api.log import Log
from ibfeed_worker.gateway.pin import PinnedTls
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.session import responses
from ibfeed_worker.session.pacing import Budget, PenalisedError
from ibfeed_worker.session.responses import AuthStatus, IbAccounts, Throttled, Tickle, Trouble, Unavailable

LIMIT: Final = 5.0  # seconds; with a hung upstream the gateway never answers
_log: Final = Log(__name__)
_HEADERS: Final = {"User-Agent": "ibfeed/1", "Accept": "*/*", "Connection": "keep-alive"}


class SessionClient:
    """The client of one gateway's API.

    Its methods never raise for what IB or the gateway does: trouble is an answer, too.

    ``on_penalty`` is called when IB answers 429.
    """

    def __init__(
        self,
        url: str,
        tls: PinnedTls,
        budget: Budget,
        metrics: Metrics,
        transport: httpx.AsyncBaseTransport | None = None,
        on_penalty: Callable[[], None] = lambda: None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"{url}/v1/api",
            verify=tls.context,
            headers=_HEADERS,
            timeout=LIMIT,
            trust_env=False,
            transport=transport,
        )
        self._budget = budget
        self._metrics = metrics
        self._on_penalty = on_penalty

    async def close(self) -> None:
        await self._http.aclose()

    def penalty_left(self) -> float:
        """Return the seconds of silence that remain after a 429."""
        return self._budget.penalty_left(asyncio.get_running_loop().time())

    def gateway_called(self, calls: int) -> None:
        """See ``Budget.gateway_called``."""
        self._budget.gateway_called(calls, asyncio.get_running_loop().time())

    async def tickle(self) -> Tickle:
        return responses.tickle(*await self._call("POST", "/tickle"))

    async def auth_status(self) -> AuthStatus | Trouble:
        return responses.auth_status(*await self._call("POST", "/iserver/auth/status"))

    async def reopen(self, *, compete: bool) -> AuthStatus | Trouble:
        """Open the brokerage session again (``ssodh/init``). ``compete`` takes it from any other holder."""
        body = {"publish": True, "compete": compete}
        return responses.auth_status(*await self._call("POST", "/iserver/auth/ssodh/init", body=body))

    async def accounts(self) -> IbAccounts | Trouble:
        return responses.accounts(*await self._call("GET", "/iserver/accounts"))

    async def address(self) -> str:
        """Return our address as IB sees it; empty if IB does not say."""
        return responses.address(*await self._call("GET", "/sso/validate"))

    async def logout(self) -> bool:
        """Log out. Return whether IB has ended our session; it is not used again in any case.

        A 401 says only that the gateway knows no session: IB may still hold it for us.
        """
        return isinstance(responses.document(*await self._call("POST", "/logout", paced=False)), Mapping)

    async def get(self, path: str, query: dict[str, str]) -> Any | Trouble:
        """Return the JSON document at ``path``, or the trouble in its place."""
        return responses.document(*await self._call("GET", path, query=query))

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
        paced: bool = True,
    ) -> tuple[int, bytes]:
        """Make one call. Return its status and body.

        Three statuses may be our own. 504: no answer in time. 502: the connection broke. 429: we are silent after one.
        """
        loop = asyncio.get_running_loop()
        if paced:
            try:
                delay = self._budget.reserve(path, loop.time())
            except PenalisedError as penalty:
                return 429, str(penalty).encode()
            if delay:
                await asyncio.sleep(delay)
        content = json.dumps(body).encode() if body is not None else b""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if method == "POST":
            headers["Content-Length"] = str(len(content))  # IB answers 411 without one, empty bodies included
        try:
            async with asyncio.timeout(LIMIT):
                answer = await self._http.request(method, path, params=query, content=content, headers=headers)
        except (TimeoutError, httpx.TimeoutException):
            self._metrics.rest_calls.labels(path=_label(path), status="timeout").inc()
            return 504, f"no answer within {LIMIT:g} s".encode()
        except httpx.HTTPError as error:
            self._metrics.rest_calls.labels(path=_label(path), status="broken").inc()
            return 502, type(error).__name__.encode()
        self._metrics.rest_calls.labels(path=_label(path), status=str(answer.status_code)).inc()
        _log.debug("asked IB", method=method, path=path, status=answer.status_code)
        if answer.status_code == 429:
            self._budget.penalise(loop.time())
            self._on_penalty()
        return answer.status_code, answer.content


def _label(path: str) -> str:
    """Return the path without its numbers, since a metric's labels must be few."""
    return "/".join("{id}" if part.isdecimal() else part for part in path.split("/"))


def describe(trouble: Trouble) -> str:
    """Return the trouble in words for a status message."""
    match trouble:
        case Unavailable(text=text) | responses.Unknown(text=text):
            return text
        case Throttled():
            return "IB answered 429"
        case responses.NoSession():
            return "no session"
