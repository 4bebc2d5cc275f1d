"""A sink's process: runs its processor, and tells how far it has come by metrics and in the status of its IbSink."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from ibfeed_api.backoff import Backoff
from ibfeed_api.log import Log, set_context, set_level, set_up
from ibfeed_api.sink import PodReport, SinkState
from ibfeed_platform.sinks.metrics import SinkMetrics
from ibfeed_platform.sinks.progress import Processor, SinkError
from ibfeed_platform.sinks.report import LatencyWindow, Work, picked, pod_report, report_patch
from ibfeed_platform.sinks.spec import EnvironmentRefusedError, SinkEnvironment, make_processor, read_environment
from ibfeed_platform.sinks.status_api import ApiServer, StatusApi, StatusError

LOOK_S: Final = 0.2  # how often the processor's progress is looked at
DOUBT_S: Final = 10.0  # until a processor after a refusal counts as not refused, if it has not written before
REPORT_S: Final = 5.0  # the operator calls a report stale after 20 s
_log: Final = Log(__name__)


class SinkProcess:
    """One process' work. ``make`` returns its processor with the present credentials, and raises SinkError."""

    def __init__(self, make: Callable[[], Processor], metrics: SinkMetrics) -> None:
        self.metrics: Final = metrics
        self.work = Work()
        self.started: Final = datetime.now(UTC)
        self.changed: Final = asyncio.Event()  # set when state or error changes
        self._make: Final = make
        self._latencies: Final = LatencyWindow()
        self._processor: Processor | None = None
        self._since = 0.0  # monotonic start of the processor, in s

    async def run(self) -> None:
        """Carry records until cancelled.

        After a refusal it reads its Secrets again and tries again, with pauses that grow to 15 s. The status tells
        a person meanwhile what to do.
        """
        watching = asyncio.create_task(self._watch())
        pause = Backoff(2.0, 15.0)
        try:
            while True:
                try:
                    self._processor, self._since = self._make(), time.monotonic()
                    await self._processor.run()
                    raise RuntimeError("the processor ended by itself")
                except SinkError as refusal:
                    _log.warning("a person must help", error=str(refusal))
                    self._end_processor(str(refusal))
                if self.work.progress.rows:
                    pause.reset()
                await asyncio.sleep(pause.next())
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    def report(self) -> PodReport:
        """Return what the status is told now."""
        p99 = self._latencies.p99_ms(time.monotonic())
        return pod_report(self.work, p99_ms=p99, started=self.started, now=datetime.now(UTC))

    def _end_processor(self, refusal: str) -> None:
        self._look()
        self._processor = None
        self._note(self.work.ended(refusal))

    async def _watch(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(LOOK_S)

    def _look(self) -> None:
        if self._processor is None:
            return
        progress = self._processor.progress
        untried = progress.last_write_ms is None and progress.error is None
        if self.work.refusal and untried and time.monotonic() - self._since < DOUBT_S:
            return
        self._note(replace(self.work, progress=progress, refusal=""))

    def _note(self, work: Work) -> None:
        before, self.work = self.work, work
        latencies: list[float] = []
        if work.progress.latencies_ms and work.progress.last_write_ms != before.progress.last_write_ms:
            latencies = list(picked(work.progress.latencies_ms))
            self._latencies.add(time.monotonic(), latencies)
        self.metrics.observe(work, latencies)
        if work.unreadable_cause != before.unreadable_cause:
            self.changed.set()
        if (work.state, work.error) != (before.state, before.error):
            log = _log.info if work.state is SinkState.WRITING else _log.warning
            log("state of the sink", state=str(work.state), error=work.error)
            self.changed.set()


async def keep_reporting(process: SinkProcess, api: StatusApi, pod: str) -> None:
    """Write the report each five seconds, and at once when state or error changes, for ever."""
    pause, told = Backoff(1.0, 15.0), None
    while True:
        process.changed.clear()
        report, wait = process.report(), REPORT_S
        try:
            await api.patch(report_patch(pod, report, told))
        except StatusError as error:
            if pause.tries == 0:
                _log.warning("the report was not written", error=str(error))
            process.metrics.count_error("report")
            told, wait = None, pause.next()
            await asyncio.sleep(wait)
            continue
        told = report
        pause.reset()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await process.changed.wait()


async def serve(process: SinkProcess, registry: CollectorRegistry, port: int) -> web.AppRunner:
    """Start serving ``/healthz``, ``/readyz`` and ``/metrics``. ``cleanup()`` of the result ends it.

    A process is ready unless it is refused. So a rolling update with a wrong password leaves the former pods at work.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        work = process.work
        if work.state is SinkState.REFUSED:
            return web.Response(status=503, text=f"{work.error}\n")
        return web.Response(text=f"{work.state}\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


async def operate(given: SinkEnvironment, server: ApiServer) -> None:
    """Run until a signal comes, then confirm what is on its way and leave the consumer group."""
    spec, registry = given.settings.spec, CollectorRegistry()
    names = {"sink": given.settings.sink, "feed": spec.feed_ref.name, "destination": spec.destination}
    process = SinkProcess(lambda: make_processor(given), SinkMetrics(registry, **names))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    http = await serve(process, registry, given.port)
    async with StatusApi(server, given.namespace, given.settings.sink) as api:
        tasks = (
            asyncio.create_task(process.run()),
            asyncio.create_task(keep_reporting(process, api, given.pod)),
            asyncio.create_task(stop.wait()),
        )
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        results = await _ended(*tasks)
    await http.cleanup()
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _ended(*tasks: asyncio.Task[Any]) -> list[Any]:
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """Run the sink that the environment describes; end with 1 if it describes none."""
    set_up()
    try:
        given = read_environment(os.environ)
    except EnvironmentRefusedError as error:
        _log.error("the sink cannot start", error=str(error))
        sys.exit(1)
    set_level(given.settings.spec.pod.log_level)
    set_context(namespace=given.namespace, feed=given.settings.spec.feed_ref.name, sink=given.settings.sink)
    asyncio.run(operate(given, ApiServer.of_pod()))
