"""The worker's HTTP server on one port. It answers from memory, so that a hung gateway can't make a probe fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Final, Protocol

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from ibfeed_api import failsafe_calls
from ibfeed_api.calls import CallRefusedError, ResolvedRoot, universe_path, verify
from ibfeed_api.feed import FILTERS
from ibfeed_api.instrument import Product
from ibfeed_api.log import Log
from ibfeed_api.worker_pod import LIFELINE_PATH
from ibfeed_worker.universe.parse import AnswerError, day
from ibfeed_worker.universe.resolve import CannotAskError, UnknownRootError

_MOST_MONTHS: Final = 120
_RESOLVE_LIMIT: Final = 25.0  # seconds for a root, enough for some hundred calls within the pacing budget
_LIFELINE_LOOK_S: Final = 5.0  # whether the operator is still there
_log: Final = Log(__name__)


class Answers(Protocol):
    """The source of the answers."""

    def health(self) -> str:
        """Return what is wrong with the process; empty if nothing is."""

    def is_ready(self) -> bool:
        """Whether contracts can be given to this worker."""

    def operator_key(self) -> str | None: ...

    async def failsafe(self, body: str) -> str:
        """Answer a member or a taker (``failsafe_calls.py``). Raises CallRefusedError."""

    async def resolve(self, root: str, months: int, since: date, wanted: Product) -> ResolvedRoot:
        """Ask IB for a root's contracts. Raises UnknownRootError, CannotAskError or AnswerError."""


class HttpServer:
    """The server of probes, ``/metrics``, ``/v1/universe/{root}``, ``/v1/failsafe`` and ``/v1/lifeline``."""

    def __init__(self, answers: Answers, registry: CollectorRegistry, *, shard: str, port: int) -> None:
        """Set up the routes. ``shard`` is ``namespace/name``, the audience of signed calls."""
        self._answers = answers
        self._registry = registry
        self._shard = shard
        self._port = port
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/universe/{root}", self._guarded(self._universe))
        app.router.add_post(failsafe_calls.PATH, self._failsafe)
        app.router.add_get(LIFELINE_PATH, self._lifeline)
        app.on_shutdown.append(self._on_shutdown)
        self._stopping = asyncio.Event()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, port=self._port).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        wrong = self._answers.health()
        return web.json_response({"ok": not wrong, "message": wrong}, status=503 if wrong else 200)

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = self._answers.is_ready()
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _failsafe(self, request: web.Request) -> web.Response:
        try:
            return web.Response(text=await self._answers.failsafe(await request.text()))
        except CallRefusedError as refusal:
            _log.warning("call refused", path=failsafe_calls.PATH, why=str(refusal))
            return _error(401, str(refusal))

    async def _lifeline(self, request: web.Request) -> web.StreamResponse:
        """Answer, and stay: the kernel closes the connection when this process ends, whatever ends it."""
        response = web.StreamResponse()
        await response.prepare(request)
        while not self._stopping.is_set() and request.transport is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LIFELINE_LOOK_S):
                    await self._stopping.wait()
        return response

    async def _on_shutdown(self, _: web.Application) -> None:
        self._stopping.set()

    async def _universe(self, request: web.Request) -> web.Response:
        months = request.query.get("months", "")
        if not months.isdecimal() or not 1 <= int(months) <= _MOST_MONTHS:
            return _error(400, f"months must be 1 to {_MOST_MONTHS}")
        since = day(request.query.get("since"))
        if since is None:
            return _error(400, "since must be a day, YYYYMMDD")
        try:
            async with asyncio.timeout(_RESOLVE_LIMIT):
                wanted = Product(*(request.query.get(name, "") for name in FILTERS))
                found = await self._answers.resolve(request.match_info["root"], int(months), since, wanted)
        except UnknownRootError as error:
            return _error(404, str(error))
        except AnswerError as error:
            return _error(502, str(error))
        except CannotAskError as error:
            return _error(503, str(error))
        except TimeoutError:
            return _error(503, f"IB did not answer within {_RESOLVE_LIMIT:g} s")
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return the handler behind a check of the operator's signature."""

        async def check(request: web.Request) -> web.Response:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                return _error(401, "a signed call is wanted")
            path = universe_path(request.match_info["root"])
            try:
                verify(token, public_key=self._answers.operator_key(), shard=self._shard, path=path)
            except CallRefusedError as refusal:
                _log.warning("call refused", path=path, why=str(refusal))
                return _error(401, str(refusal))
            return await handler(request)

        return check


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
