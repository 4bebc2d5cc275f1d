"""A venue within the test, behind a server on a free port, and clients that are logged in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import ClientWebSocketResponse
from aiohttp.test_utils import TestClient

from ibfeed_simulator.venue.users import User
from ibfeed_simulator.venue.venue import Venue

USERS = {name: User(name, f"{name}-secret") for name in ("paper1", "paper2")}
DIRECT = {"User-Agent": "test"}
# Market data comes faster here than at IB. That is the only difference.
FAST = 0.1


class Session:
    """One login at the venue."""

    def __init__(self, client: TestClient[Any, Any], cookie: str, username: str) -> None:
        self.client = client
        self.username = username
        self.headers = {**DIRECT, "Cookie": cookie}

    async def get(self, path: str, **params: str) -> tuple[int, Any]:
        async with self.client.get(f"/v1/api{path}", params=params, headers=self.headers) as answer:
            return answer.status, await _document(answer)

    async def post(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        async with self.client.post(f"/v1/api{path}", json=body or {}, headers=self.headers) as answer:
            return answer.status, await _document(answer)

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        async with self.client.request(method, f"/v1/api{path}", json=body, headers=self.headers) as answer:
            return answer.status, await _document(answer)

    async def open(self) -> Session:
        """Open the brokerage session."""
        status, _ = await self.post("/iserver/auth/ssodh/init", {"publish": True, "compete": True})
        assert status == 200
        return self

    async def conid(self, root: str = "CL", place: int = 0) -> int:
        _, found = await self.get("/trsrv/futures", symbols=root)
        conid: int = found[root][place]["conid"]
        return conid

    async def socket(self) -> Socket:
        """Open a websocket, and read its greeting."""
        socket = Socket(await self.client.ws_connect("/v1/api/ws", headers=self.headers))
        await socket.until("sts")
        return socket


class Socket:
    def __init__(self, raw: ClientWebSocketResponse) -> None:
        self.raw = raw

    async def send(self, text: str) -> None:
        await self.raw.send_str(text)

    async def frame(self, within: float = 10) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(await self.raw.receive_str(timeout=within))
        return document

    async def until(self, topic: str, within: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(within):
            while True:
                frame = await self.frame(within)
                if frame.get("topic") == topic:
                    return frame

    async def silent(self, seconds: float) -> bool:
        try:
            await self.frame(seconds)
        except TimeoutError:
            return True
        return False

    async def subscribe(self, conid: int, *fields: str) -> dict[str, Any]:
        await self.send(f"smd+{conid}+{json.dumps({'fields': fields or ('31', '84', '86', '7059')})}")
        return await self.until(f"smd+{conid}")


class Stand:
    """A running venue with its public side and its control API."""

    def __init__(self, venue: Venue, client: TestClient[Any, Any], control: TestClient[Any, Any]) -> None:
        self.venue = venue
        self.client = client
        self.control = control

    async def submit(self, username: str = "paper1", password: str | None = None, **more: str) -> tuple[int, str, str]:
        """Post the login form. Return status, page, and the cookies as a header."""
        form = {"username": username, "password": f"{username}-secret" if password is None else password, **more}
        async with self.client.post("/sso/Dispatcher", data=form, allow_redirects=False) as answer:
            cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in answer.cookies.items())
            return answer.status, await answer.text(), cookies

    async def log_in(self, username: str = "paper1") -> Session:
        status, page, cookies = await self.submit(username)
        assert status == 302, page
        return Session(self.client, cookies, username)

    async def fault(self, name: str, **how: Any) -> dict[str, Any]:
        async with self.control.post(f"/control/faults/{name}", json=how) as answer:
            assert answer.status == 200, await answer.text()
            document: dict[str, Any] = await answer.json()
            return document

    async def truth(self, **query: str) -> list[dict[str, Any]]:
        async with self.control.get("/control/truth", params=query) as answer:
            return [json.loads(line) for line in (await answer.text()).splitlines()]


Start = Callable[..., Awaitable[Stand]]


async def _document(answer: aiohttp.ClientResponse) -> Any:
    body = await answer.read()
    return json.loads(body) if answer.content_type == "application/json" and body else body.decode()
