"""A sink's process: what it tells, when it tries again, what a scraper and a probe see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from ibfeed_api.backoff import Backoff
from ibfeed_api.sink import SinkState
from ibfeed_platform.sinks import run as run_module
from ibfeed_platform.sinks.metrics import SinkMetrics
from ibfeed_platform.sinks.progress import Progress, SinkError
from ibfeed_platform.sinks.report import NOTHING
from ibfeed_platform.sinks.run import SinkProcess, keep_reporting, serve
from ibfeed_platform.sinks.status_api import ApiServer, StatusApi, StatusError
from support.ports import free_port

WRITTEN = Progress(rows=5, lag=0, last_event_ms=1_000, last_write_ms=2_000, latencies_ms=(1000.0, 7000.0), error=None)


class Scripted:
    """A processor whose progress a test sets."""

    def __init__(self) -> None:
        self.told = NOTHING
        self.looks = 0
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def progress(self) -> Progress:
        self.looks += 1
        return self.told

    async def run(self) -> None:
        await self.failure


def process_of(make: Callable[[], Any]) -> tuple[SinkProcess, CollectorRegistry]:
    registry = CollectorRegistry()
    return SinkProcess(make, SinkMetrics(registry, sink="latest", feed="energy", destination="redis")), registry


@asynccontextmanager
async def running(process: SinkProcess) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(process.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], object], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - another's state
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "LOOK_S", 0.01)
    monkeypatch.setattr(run_module, "Backoff", lambda *_: Backoff(0.05, 0.05))


async def test_progress_becomes_report_and_metrics() -> None:
    scripted = Scripted()
    process, registry = process_of(lambda: scripted)
    async with running(process):
        assert process.report().state is SinkState.STARTING
        scripted.told = WRITTEN
        await until(lambda: process.report().state is SinkState.WRITING)
        report = process.report()
        assert (report.rows, report.lag, report.latency_p99_ms) == (5, 0, 7000)
        found = {
            name: registry.get_sample_value(f"ibfeed_sink_{name}", _labels())
            for name in ("rows_total", "lag_records", "writing", "latency_seconds_count")
        }
        assert found == {"rows_total": 5, "lag_records": 0, "writing": 1, "latency_seconds_count": 2}
        within = registry.get_sample_value("ibfeed_sink_latency_seconds_bucket", _labels(le="6.0"))
        assert within == 1


async def test_a_batch_is_measured_once() -> None:
    scripted = Scripted()
    process, registry = process_of(lambda: scripted)
    async with running(process):
        scripted.told = WRITTEN
        await until(lambda: process.work.rows)
        scripted.told = replace(WRITTEN, lag=3)
        await until(lambda: process.work.progress.lag == 3)
        assert registry.get_sample_value("ibfeed_sink_latency_seconds_count", _labels()) == 2
        assert registry.get_sample_value("ibfeed_sink_lag_records", _labels()) == 3


def _labels(**more: str) -> dict[str, str]:
    return {"sink": "latest", "feed": "energy", "destination": "redis"} | more


async def test_a_refusal_is_told_and_tried_again_with_new_credentials() -> None:
    made: list[Scripted] = []

    def make() -> Scripted:
        made.append(Scripted())
        return made[-1]

    process, registry = process_of(make)
    async with running(process):
        await until(lambda: made)
        made[0].told = WRITTEN
        await until(lambda: process.work.rows == 5)
        made[0].failure.set_exception(SinkError("wrong password: correct it"))
        await until(lambda: len(made) == 2 and made[1].looks >= 2)
        # A new try proves nothing before it has written.
        assert (process.report().state, process.report().error) == (SinkState.REFUSED, "wrong password: correct it")
        made[1].told = WRITTEN
        await until(lambda: process.report().state is SinkState.WRITING)
        assert process.report().rows == 10
        assert registry.get_sample_value("ibfeed_sink_rows_total", _labels()) == 10
        assert registry.get_sample_value("ibfeed_sink_errors_total", _labels(kind="refused")) == 1


async def test_a_refusal_is_doubted_when_a_new_try_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no record comes, no write can prove it."""
    monkeypatch.setattr(run_module, "DOUBT_S", 0.1)
    made: list[Scripted] = []

    def make() -> Scripted:
        made.append(Scripted())
        if len(made) == 1:
            raise SinkError("Secret redis does not exist")
        return made[-1]

    process, _ = process_of(make)
    async with running(process):
        await until(lambda: process.report().state is SinkState.REFUSED)
        await until(lambda: process.report().state is SinkState.STARTING)


async def test_a_processor_that_ends_by_itself_ends_the_process() -> None:
    scripted = Scripted()
    process, _ = process_of(lambda: scripted)
    scripted.failure.set_result(None)
    with pytest.raises(RuntimeError, match="ended by itself"):
        await process.run()


class Written:
    """The API server: what is written, and whether it refuses."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, str]] = []
        self.status = 200

    async def handle(self, request: web.Request) -> web.Response:
        kind = request.headers["Content-Type"]
        self.requests.append((request.path_qs, kind, request.headers.get("Authorization", "")))
        self.bodies.append(await request.json())
        return web.json_response({"message": "no"}, status=self.status)

    def pods(self) -> list[dict[str, Any]]:
        return [body["status"]["pods"]["a"] for body in self.bodies]


@asynccontextmanager
async def api_server() -> AsyncIterator[tuple[Written, str]]:
    written, app = Written(), web.Application()
    app.router.add_route("*", "/{rest:.*}", written.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield written, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_change_of_state_is_reported_at_once(tmp_path: Any) -> None:
    scripted = Scripted()
    process, _ = process_of(lambda: scripted)
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    async with api_server() as (written, url), StatusApi(ApiServer(url, token), "markets", "latest") as api:
        reporting = asyncio.create_task(keep_reporting(process, api, "a"))
        async with running(process):
            await until(lambda: written.bodies)
            scripted.told = WRITTEN
            await until(lambda: len(written.bodies) > 1)
        reporting.cancel()
    first, second = written.pods()[:2]
    assert first["state"] == "Starting"
    assert (second["state"], second["rows"]) == ("Writing", 5)
    assert "startedAt" not in second
    path, kind, authorization = written.requests[0]
    assert path == "/apis/ibfeed.dev/v1alpha1/namespaces/markets/ibsinks/latest/status?fieldManager=ibfeed-sink"
    assert (kind, authorization) == ("application/merge-patch+json", "Bearer t0ken")


async def test_after_a_failure_the_whole_report_is_written() -> None:
    """The operator may have taken the entry away, and a part of one is refused."""
    process, registry = process_of(Scripted)
    async with api_server() as (written, url), StatusApi(ApiServer(url), "markets", "latest") as api:
        reporting = asyncio.create_task(keep_reporting(process, api, "a"))
        await until(lambda: written.bodies)
        written.status = 422
        process.changed.set()
        await until(lambda: len(written.bodies) >= 2)
        await until(lambda: len(written.bodies) >= 3)
        reporting.cancel()
    assert ["startedAt" in pod for pod in written.pods()[:3]] == [True, False, True]
    assert registry.get_sample_value("ibfeed_sink_errors_total", _labels(kind="report")) is not None


async def test_an_api_server_that_is_away_is_an_error_of_its_own() -> None:
    async with StatusApi(ApiServer(f"http://127.0.0.1:{free_port()}"), "markets", "latest") as api:
        with pytest.raises(StatusError, match="the API server is not reached"):
            await api.patch({})
    with pytest.raises(StatusError, match="not open"):
        await StatusApi(ApiServer("http://x"), "markets", "latest").patch({})


def test_a_pod_finds_its_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert ApiServer.of_pod().url == "https://[fd00::1]:443"


async def test_probes_and_metrics_answer() -> None:
    def make() -> Any:
        raise SinkError("wrong password")

    process, registry = process_of(make)
    port = free_port()
    server = await serve(process, registry, port)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200)):
                assert (await http.get(path)).status == status
            async with running(process):
                await until(lambda: process.work.state is SinkState.REFUSED)
                answer = await http.get("/readyz")
                assert (answer.status, await answer.text()) == (503, "wrong password\n")
                assert (await http.get("/healthz")).status == 200
    finally:
        await server.cleanup()
