"""The gateway's web server: a thin reverse proxy for pages, REST calls and the websocket."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from typing import Final

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict

from ibfeed_simulator.gateway import logs
from ibfeed_simulator.gateway.conf import Configuration
from ibfeed_simulator.gateway.cookies import CookieStore
from ibfeed_simulator.gateway.login import LoginKeeper
from ibfeed_simulator.gateway.upstream import EXIT_HEADER, EXIT_VALUE, Answer, Upstream, exit_as_told
from ibfeed_simulator.gateway.upstream_socket import Piece, UpstreamClosedError, UpstreamSocket

_log = logging.getLogger(__name__)

_API: Final = re.compile(r"^/v1/(?:api|portal)(/.*)$")
_PASSED_ON: Final = ("Accept", "Accept-Language", "Content-Type")
_OF_ONE_HOP: Final = ("Connection", "Content-Length", "Keep-Alive", "Transfer-Encoding")
_SILENCE: Final = 300.0  # without an answer when the upstream is down; clients have given up long before
_SUCCESS: Final = b"Client login succeeds"
_MAX_MESSAGE: Final = 65_536


class Proxy:
    def __init__(self, configuration: Configuration, upstream: Upstream, cookies: CookieStore) -> None:
        self._configuration = configuration
        self._upstream = upstream
        self._cookies = cookies
        self._sockets: set[web.WebSocketResponse] = set()
        self._login = LoginKeeper(upstream, cookies, configuration.auth_delay, self.close_sockets)
        self._background: set[asyncio.Task[bool]] = set()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 20)
        app.on_response_prepare.append(_leave_untyped)
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def close(self) -> None:
        self._login.stop()
        await self.close_sockets()

    async def close_sockets(self) -> None:
        await asyncio.gather(*(socket.close(code=1000) for socket in list(self._sockets)))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if not self._configuration.addresses.admit(request.remote or ""):
            return web.Response(status=403, text="Access Denied")
        path = request.rel_url.raw_path  # passed on as the client wrote it
        if path == "/":
            raise web.HTTPFound(f"/sso/Login?forwardTo=22&RL=1&ip2loc={self._configuration.location}")
        if path.startswith("/sso/"):
            return await self._page(request)
        match = _API.match(path)
        if match is None:
            return web.Response(status=302, headers={"Location": self._configuration.remote + path})
        endpoint = match[1]
        if endpoint == "/ws":
            return await self._socket(request)
        if endpoint == "/iserver/reauthenticate":
            return self._reauthenticate()
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        answer = await self._forward(request, self._configuration.api + endpoint + query)
        if endpoint == "/logout" and answer.status == 200:
            self._login.logged_out()
            await self.close_sockets()
        return _response(answer)

    def _reauthenticate(self) -> web.Response:
        """Answer at once, without a call to the upstream. The exchange follows in the background."""
        if not self._login.has_logged_in:
            return web.json_response(body=b'{"error":"not logged in"}')
        task = asyncio.create_task(self._login.initialise())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return web.json_response(body=b'{"message":"triggered"}')

    async def _page(self, request: web.Request) -> web.StreamResponse:
        answer = await self._forward(request, request.rel_url.raw_path_qs)
        # Only a 302 of the Dispatcher is a login. The browser never sees it.
        if request.path == "/sso/Dispatcher" and request.method == "POST" and answer.status == 302:
            self._login.logged_in()
            return _response(replace(answer, status=200, reason="OK", body=_SUCCESS))
        return _response(answer)

    async def _forward(self, request: web.Request, path: str) -> Answer:
        """Pass a call on without the client's own cookies. While the upstream is down there is no answer, not a 502."""
        headers: CIMultiDict[str] = CIMultiDict(
            (name, request.headers[name]) for name in _PASSED_ON if name in request.headers
        )
        try:
            return await self._upstream.call(request.method, path, await request.read(), headers)
        except aiohttp.ClientError as error:
            _log.warning("%s %s: %s", request.method, request.path, error)
            await asyncio.sleep(_SILENCE)
            raise web.HTTPGatewayTimeout from error

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        """Open the client's websocket at once, whatever the upstream does.

        Frames of the client are lost until the upstream is open.
        """
        client = web.WebSocketResponse(compress=False, max_msg_size=_MAX_MESSAGE, autoclose=False)
        await client.prepare(request)
        self._sockets.add(client)
        pipe = _Pipe(client)
        down = asyncio.create_task(self._downstream(pipe))
        try:
            async for message in client:
                if pipe.upstream is None:
                    continue
                if message.type is WSMsgType.TEXT:
                    pipe.upstream.send_text(message.data.encode())
                elif message.type is WSMsgType.BINARY:
                    pipe.upstream.send_text(message.data)
        finally:
            self._sockets.discard(client)
            down.cancel()
            if pipe.upstream is not None:
                await pipe.upstream.close()
            if request.transport is not None:  # a client that closes gets no close frame from us
                request.transport.close()
        return client

    async def _downstream(self, pipe: _Pipe) -> None:
        url = f"{self._configuration.remote}{self._configuration.api}/ws"
        try:
            logs.websocket.info("ws headers: %s", self._upstream.headers())
            pipe.upstream = await UpstreamSocket.connect(
                url, self._upstream.headers(), self._upstream.tls, self._upstream.resolver.address
            )
            async for piece in pipe.upstream.pieces():
                logs.websocket.debug("Websocket Proxy response body: %s", piece.payload)
                await pipe.client.send_bytes(recoded(piece))
        except UpstreamClosedError as closed:
            if closed.reason == f"{EXIT_HEADER}: {EXIT_VALUE}":
                exit_as_told()
            if pipe.upstream is not None:
                await pipe.client.close(code=1000)
        except OSError as error:  # unreachable or not trusted: the client sees an open socket that stays silent
            _log.warning("websocket: %s", error)


class _Pipe:
    def __init__(self, client: web.WebSocketResponse) -> None:
        self.client = client
        self.upstream: UpstreamSocket | None = None


def recoded(piece: Piece) -> bytes:
    """Encode text as ISO-8859-1. So good UTF-8 may reach the client as something else."""
    if not piece.text or piece.payload.isascii():
        return piece.payload
    return piece.payload.decode("utf-8", "replace").encode("latin-1", "replace")


def _response(answer: Answer) -> web.Response:
    """Return the upstream's answer with its own headers, whatever they are. The body always comes in chunks."""
    response = web.Response(status=answer.status, reason=answer.reason or None, body=answer.body)
    response.headers.clear()
    response.headers.extend((name, value) for name, value in answer.headers.items() if name.title() not in _OF_ONE_HOP)
    response.enable_chunked_encoding()
    return response


async def _leave_untyped(_: web.Request, response: web.StreamResponse) -> None:
    """Remove the type that aiohttp gives to a body without one. With it a browser would save the body as a file."""
    if response.headers.get("Content-Type") == "application/octet-stream":
        del response.headers["Content-Type"]
