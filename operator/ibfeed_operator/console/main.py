"""The console's process: puts its parts together, runs them and ends them.

The page is on the loopback interface of the pod alone, so that only a port-forward reaches it: nobody without the right
to make one gets as far as the sign-in. Probes and metrics have a port of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ibfeed_api.log import Log, set_up
from ibfeed_operator.console.desk import Desk, Informed
from ibfeed_operator.console.plans import Plans
from ibfeed_operator.console.reviews import Reviews
from ibfeed_operator.console.server import Console, application
from ibfeed_operator.kube.client import KubeClient

_log: Final = Log(__name__)

PORT: Final = 8081
PROBES: Final = 8080
SECRET: Final = Path("/etc/ibfeed/console-kafka")
_END_S: Final = 2.0  # that open pages get


async def serve(namespace: str, *, port: int = PORT, probes: int = PROBES, secret: Path = SECRET) -> None:
    """Serve until a signal comes."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await KubeClient.connect() as kube, contextlib.AsyncExitStack() as stack:
        informed = Informed(kube, namespace)
        desk = Desk(informed, secret)
        tasks = [
            asyncio.create_task(informed.run()),
            asyncio.create_task(desk.run()),
            asyncio.create_task(stop.wait()),
        ]
        for app, host, at in (
            (application(Console(desk, Reviews(kube), Plans(kube, informed))), "127.0.0.1", port),
            (_probes(), None, probes),
        ):
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=_END_S)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, host=host, port=at).start()
        _log.info("the console serves", port=port)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error


def _probes() -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics)])
    return app


def main(*, port: int = PORT, probes: int = PROBES, secret: Path = SECRET) -> None:
    set_up()
    namespace = os.environ.get("IBFEED_NAMESPACE", "")
    asyncio.run(serve(namespace, port=port, probes=probes, secret=secret))
