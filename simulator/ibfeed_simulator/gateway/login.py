"""The gateway's own calls after a login: it opens the brokerage session and keeps it.

All of it was seen on the real one, call by call. It always competes, it tickles every 30 s, and it logs out when a
tickle says connected but not authenticated.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from multidict import CIMultiDict

from ibfeed_simulator.gateway.cookies import CookieStore
from ibfeed_simulator.gateway.upstream import Upstream

_log = logging.getLogger(__name__)

TICKLE_SECONDS: Final = 30.0
_RETRIES: Final = 5
_RETRY_SECONDS: Final = 3.0
_FORM: Final = CIMultiDict({"Content-Type": "application/x-www-form-urlencoded"})


class LoginKeeper:
    """Opens and keeps the brokerage session, in one background task at a time.

    ``on_logout`` closes the websockets of the session.
    """

    def __init__(
        self, upstream: Upstream, cookies: CookieStore, auth_delay: float, on_logout: Callable[[], Awaitable[None]]
    ) -> None:
        self._upstream = upstream
        self._cookies = cookies
        self._auth_delay = auth_delay
        self._on_logout = on_logout
        self._machine = secrets.token_hex(4)
        self._task: asyncio.Task[None] | None = None
        self.has_logged_in = False  # stays True after a logout

    def logged_in(self) -> None:
        """Start to open the session, after a login that passed. A second login starts all over."""
        self.stop()
        self.has_logged_in = True
        self._task = asyncio.create_task(self._keep())

    def logged_out(self) -> None:
        """Stop keeping the session, since the client called ``/logout``."""
        self.stop()
        self._cookies.clear()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def initialise(self) -> bool:
        """Validate the login and, after a pause, open the brokerage session. Return whether it is open."""
        for attempt in range(1, _RETRIES + 1):
            if await self._validate():
                await asyncio.sleep(self._auth_delay)
                return await self._open()
            _log.error("authentication to cp failed, retry %d", attempt)
            await asyncio.sleep(_RETRY_SECONDS)
        _log.warning("Reauthentication failed %d times, stopping", _RETRIES)
        return False

    async def _validate(self) -> bool:
        """Make the calls before the pause. Only the first one's answer counts."""
        try:
            answer = await self._upstream.api("GET", "/sso/validate?gw=1")
            if answer.status != 200:
                return False
            await self._upstream.api("GET", "/one/user")
            await self._upstream.api("GET", "/ssodh/init")
            token = _object((await self._upstream.api("GET", "/ssodh/st")).body).get("st")
            form = urlencode({"ST": token or "", "MACHINE_ID": self._machine}).encode()
            await self._upstream.call("POST", "/sso/Authenticator?ACTION=PUBLISH_TST", form, _FORM)
        except aiohttp.ClientError as error:
            _log.warning("authentication to cp failed: %s", error)
            return False
        return True

    async def _open(self) -> bool:
        """Open the brokerage session by the exchange with the venue. It is taken from any holder."""
        try:
            status = _object((await self._upstream.api("GET", "/iserver/auth/status")).body)
            if status.get("authenticated") is not True and not await self._take():
                return False
            await self._upstream.api("GET", "/iserver/accounts")
        except aiohttp.ClientError as error:
            _log.warning("brokerage session: %s", error)
            return False
        return True

    async def _take(self) -> bool:
        user = {"username": "", "machineId": self._machine, "compete": True}
        asked = await self._upstream.api("POST", "/iserver/auth/ssodh/init", json.dumps(user).encode())
        if asked.status != 200 or "challenge" not in _object(asked.body):
            _log.error("ssodh failed, retry with /iserver/reauthenticate")
            return False
        reply = json.dumps({"response": secrets.token_hex(20)}).encode()
        answer = await self._upstream.api("POST", "/iserver/auth/ssodh/response", reply)
        if answer.status != 200 or _object(answer.body).get("authenticated") is not True:
            _log.error("ssodh response error")
            return False
        return True

    async def _keep(self) -> None:
        """Tickle while there is a brokerage session. Without one, do nothing more."""
        open_ = await self.initialise()
        while open_ and self._cookies:
            await asyncio.sleep(TICKLE_SECONDS)
            try:
                answer = await self._upstream.api("GET", "/tickle")
            except aiohttp.ClientError as error:
                _log.warning("tickle: %s", error)
                continue
            if answer.status in (401, 429):
                open_ = await self.initialise()
            elif answer.status == 503:
                await asyncio.gather(self.initialise(), self.initialise())
            elif answer.status == 200 and _lost(_object(answer.body)):
                await self._log_out()
                return

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
