"""``/healthz``, ``/readyz``, ``/metrics`` and ``/v1/failsafe`` on port 8080."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ibfeed_api import failsafe_calls
from ibfeed_api.calls import CallRefusedError
from ibfeed_api.failsafe_member import FailsafeMember
from ibfeed_operator.controller.manager import Manager
from ibfeed_operator.kube.election import Election

PORT: Final = 8080


async def serve(manager: Manager, election: Election, member: FailsafeMember, *, port: int = PORT) -> web.AppRunner:
    """Start serving. ``cleanup()`` of the result ends it.

    An operator is unhealthy when one of its cycles does not end. It is ready when it leads or would take over. So an
    update of the Deployment ends the old operator only when the new one stands by.
    """

    async def healthz(_: web.Request) -> web.Response:
        stuck = manager.stuck()
        if stuck is not None:
            return web.Response(status=503, text=f"the cycle of feed {stuck} does not end\n")
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        trouble = election.trouble()
        if trouble is not None:
            return web.Response(status=503, text=f"{trouble}\n")
        return web.Response(text="leads\n" if election.acts() else "stands by\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def failsafe(request: web.Request) -> web.Response:
        try:
            return web.Response(text=await member.answer(await request.text()))
        except CallRefusedError as refusal:
            return web.Response(status=401, text=f"{refusal}\n")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    app.add_routes([web.post(failsafe_calls.PATH, failsafe)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
