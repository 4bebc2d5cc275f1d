"""What the gateway does by itself once somebody has logged in: it opens the brokerage session, and keeps it.

All of it was seen on the real one: it always competes, it tickles every 30 s, and it logs out when a tickle says
connected but not authenticated.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp

from ibfeed_simulator.gateway.cookies import CookieStore
from ibfeed_simulator.gateway.upstream import Upstream

_log = logging.getLogger(__name__)

TICKLE_SECONDS: Final = 30.0
_RETRIES: Final = 5
_RETRY_SECONDS: Final = 3.0


class LoginKeeper:
    """One background task at a time; ``on_logout`` closes what hangs on the session."""

    def __init__(
        self, upstream: Upstream, cookies: CookieStore, auth_delay: float, on_logout: Callable[[], Awaitable[None]]
    ) -> None:
        self._upstream = upstream
        self._cookies = cookies
        self._auth_delay = auth_delay
        self._on_logout = on_logout
        self._machine = secrets.token_hex(4)
        self._task: asyncio.Task[None] | None = None

    def logged_in(self) -> None:
        """A login page succeeded: a second one starts all over."""
        self.stop()
        self._task = asyncio.create_task(self._keep())

    def logged_out(self) -> None:
        """The client called ``/logout``."""
        self.stop()
        self._cookies.clear()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def initialise(self) -> bool:
        """The exchange that opens the brokerage session; it takes it from whoever holds it."""
        try:
            await self._upstream.call("GET", "/sso/validate?gw=1")
            body = {"compete": True, "publish": True, "machineId": self._machine, "mac": "00-00-00-00-00-00"}
            answer = await self._upstream.api("POST", "/iserver/auth/ssodh/init", json.dumps(body).encode())
        except aiohttp.ClientError as error:
            _log.warning("brokerage session: %s", error)
            return False
        return answer.status == 200 and _object(answer.body).get("authenticated") is True

    async def _keep(self) -> None:
        await asyncio.sleep(self._auth_delay)
        await self.initialise()
        while self._cookies:
            await asyncio.sleep(TICKLE_SECONDS)
            try:
                answer = await self._upstream.api("POST", "/tickle")
            except aiohttp.ClientError as error:
                _log.warning("tickle: %s", error)
                continue
            if answer.status == 401:
                if not await self._retry():
                    return
            elif answer.status == 503:
                await asyncio.gather(self.initialise(), self.initialise())
            elif answer.status == 200 and _lost(_object(answer.body)):
                await self._log_out()
                return

    async def _retry(self) -> bool:
        for _ in range(_RETRIES):
            if await self.initialise():
                return True
            await asyncio.sleep(_RETRY_SECONDS)
        _log.warning("Reauthentication failed %d times, stopping", _RETRIES)
        return False

    async def _log_out(self) -> None:
        _log.warning("connected but not authenticated: logging out")
        try:
            await self._upstream.api("POST", "/logout")
        except aiohttp.ClientError as error:
            _log.warning("logout: %s", error)
        self._cookies.clear()
        await self._on_logout()


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _lost(tickle: dict[str, Any]) -> bool:
    iserver = tickle.get("iserver")
    status = iserver.get("authStatus") if isinstance(iserver, dict) else None
    if not isinstance(status, dict):
        return False
    return status.get("connected") is True and status.get("authenticated") is False
