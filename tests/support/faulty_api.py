"""A reverse proxy before the API server, through which an operator's requests can go wrong at a chosen write.

A write can fail before or after it was done. It can get any answer of the server, or none. And a process can die at
that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from support.certificates import Certificate
from support.control_plane import OPERATOR, ControlPlane
from support.ports import free_port

CUT = 0  # the connection breaks instead of an answer
SILENCE = -1  # no answer ever comes
_PASSED_ON = ("Authorization", "Content-Type", "Accept")


@dataclass(frozen=True)
class Write:
    method: str
    path: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass
class Fault:
    """A fault of the first write for which ``where`` holds.

    ``answer`` is a status, CUT or SILENCE; None: the server's own. ``done``: the API server gets the write all the
    same. ``before`` and ``after`` are awaited around it.
    """

    where: Callable[[Write], bool]
    answer: int | None = None
    done: bool = True
    before: Callable[[], Awaitable[None]] | None = None
    after: Callable[[], Awaitable[None]] | None = None
    fired: bool = False
    status: int = 0  # the server's answer, once there is one


@dataclass
class FaultyApi:
    """The proxy. ``writes`` are all that came, in their order; ``done`` are those that the API server accepted.

    While it is ``away``, each connection breaks.
    """

    kubeconfig: Path
    upstream: str
    session: aiohttp.ClientSession
    writes: list[Write] = field(default_factory=list)
    done: list[Write] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    watches: dict[web.StreamResponse, aiohttp.ClientResponse] = field(default_factory=dict)
    away: bool = False

    async def go_away(self) -> None:
        self.away = True
        await self.drop_watches(gone=False)

    async def drop_watches(self, *, gone: bool) -> int:
        """End all watches; return how many. With ``gone`` they are told that their version is too old."""
        watches, self.watches = self.watches, {}
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
        for watch, upstream in watches.items():
            with contextlib.suppress(ConnectionError):
                if gone:
                    await watch.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
                await watch.write_eof()
            # The client's answer is over, and its next request comes on the same connection. That request must not
            # wait until the API server has another event for this watch.
            upstream.close()
        return len(watches)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.away:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if request.method == "GET":
            return await self._stream(request) if "watch" in request.query else await self._pass_on(request, body)
        write = Write(request.method, request.path, json.loads(body) if body else {})
        self.writes.append(write)
        fault = next((fault for fault in self.faults if not fault.fired and fault.where(write)), None)
        if fault is None:
            return await self._write(request, body, write)
        fault.fired = True
        if fault.before is not None:
            await fault.before()
        answer = web.Response()
        if fault.done:
            answer = await self._write(request, body, write)
            fault.status = answer.status
        if fault.after is not None:
            await fault.after()
        if fault.answer is None:
            return answer
        if fault.answer == SILENCE:
            await asyncio.sleep(60)
        if fault.answer in (CUT, SILENCE):
            if request.transport is not None:
                request.transport.abort()
            return answer
        text = {"kind": "Status", "code": fault.answer, "message": f"a fault of the test: {fault.answer}"}
        headers = {"Retry-After": "1"} if fault.answer in (429, 503) else {}
        return web.json_response(text, status=fault.answer, headers=headers)

    async def _write(self, request: web.Request, body: bytes, write: Write) -> web.Response:
        answer = await self._pass_on(request, body)
        if answer.status < 300:
            self.done.append(write)
        return answer

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        headers = {key: request.headers[key] for key in _PASSED_ON if key in request.headers}
        async with self.session.request(
            request.method, self.upstream + request.raw_path, data=body or None, headers=headers
        ) as answer:
            kind = answer.headers.get("Content-Type", "application/json")
            return web.Response(status=answer.status, body=await answer.read(), headers={"Content-Type": kind})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        headers = {key: request.headers[key] for key in _PASSED_ON if key in request.headers}
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        async with self.session.get(self.upstream + request.raw_path, headers=headers) as answer:
            response.set_status(answer.status)
            await response.prepare(request)
            self.watches[response] = answer
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                async for line in answer.content:
                    if response not in self.watches:
                        return response
                    await response.write(line)
        self.watches.pop(response, None)
        return response


@contextlib.asynccontextmanager
async def faulty_api(plane: ControlPlane, name: str) -> AsyncIterator[FaultyApi]:
    """Run a proxy for the operator of ``plane``, which must use its ``kubeconfig``."""
    config = yaml.safe_load(plane.kubeconfig(OPERATOR).read_text())
    cluster, port = config["clusters"][0]["cluster"], free_port()
    upstream, cluster["server"] = cluster["server"], f"https://127.0.0.1:{port}"
    kubeconfig = plane.directory / f"{name}.conf"
    kubeconfig.write_text(yaml.safe_dump(config))
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(ssl=False, limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, read_bufsize=2**21) as session:
        api = FaultyApi(kubeconfig, upstream, session)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", api.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        certificate = Certificate(plane.directory, name, expired=False)
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=certificate.server_context()).start()
        try:
            yield api
        finally:
            await runner.cleanup()
