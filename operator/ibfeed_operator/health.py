"""``/healthz`` and ``/metrics`` on port 8080."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ibfeed_operator.feeds import Feeds

PORT: Final = 8080


async def serve(feeds: Feeds, *, port: int = PORT) -> web.AppRunner:
    """Start serving; ``cleanup()`` of the result ends it. Unhealthy is an operator with a cycle that does not end."""

    async def healthz(_: web.Request) -> web.Response:
        stuck = feeds.stuck()
        if stuck is not None:
            return web.Response(status=503, text=f"the cycle of feed {stuck} does not end\n")
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
