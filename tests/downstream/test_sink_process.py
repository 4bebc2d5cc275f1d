"""A sink's process as a pod runs it: real Kafka, real Redis, and an API server that keeps what is reported."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support import reader_records
from support.own_topics import OwnTopics
from support.ports import free_port
from support.reader_records import CONID, FakeMessage, contract, tick
from support.redis import RedisServer, hash_of
from support.sink_api import SINKS, SinkApi, sink_api
from support.sink_process import POD, start_sink

PASSWORD = "s3cret-of-this-test"


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are of now: the hot store keeps no others."""
    monkeypatch.setattr(reader_records, "AT_MS", int(time.time() * 1000) - 1000)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", ["user default off", f"user writer on >{PASSWORD} ~* &* +@all"]) as server:
        yield server


@pytest.fixture
def own() -> Iterator[OwnTopics]:
    with OwnTopics() as own:
        yield own


@dataclass
class Scene:
    api: SinkApi
    own: OwnTopics
    redis: RedisServer
    files: Path
    log: Path
    port: int
    process: subprocess.Popen[bytes]

    def give_password(self, text: str) -> None:
        folder = self.files / "etc" / "ibfeed" / "destination"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "password").write_text(text)

    @property
    def report(self) -> dict[str, Any]:
        pods: dict[str, dict[str, Any]] = self.api.status("latest").get("pods", {})
        return pods.get(POD, {})

    async def told(self, state: str, within: float = 20.0, **more: Any) -> dict[str, Any]:
        deadline = time.monotonic() + within
        while not (self.report.get("state") == state and more.items() <= self.report.items()):
            assert time.monotonic() < deadline, f"not {state} {more}: {self.report}; {self.log.read_text()[-2000:]}"
            await asyncio.sleep(0.05)
        return self.report

    async def http(self, path: str) -> tuple[int, str]:
        def ask() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        return await asyncio.to_thread(ask)

    def write(self, *seqs: int) -> None:
        self.own.write([contract(), *(tick(seq, conid=CONID, symbol="CLZ6", price=f"{seq}.50") for seq in seqs)])


@pytest_asyncio.fixture
async def scene(tmp_path: Path, redis: RedisServer, own: OwnTopics) -> AsyncIterator[Scene]:
    to = {"url": redis.url, "user": "writer", "passwordSecretRef": {"name": "redis"}}
    log, port = tmp_path / "sink.log", free_port()
    async with sink_api() as (api, kube):
        api.put(SINKS, "latest", spec={})
        url = kube._client.configuration.host
        process = start_sink(own, to, api=url, files=tmp_path, log=log, port=port)
        try:
            yield Scene(api, own, redis, tmp_path, log, port, process)
        finally:
            process.kill()
            process.wait()


async def test_a_process_from_a_missing_secret_to_its_end(scene: Scene) -> None:
    refused = await scene.told("Refused", within=30)
    assert refused["error"].startswith("Secret redis does not exist, or is empty: create it")
    assert (await scene.http("/readyz"))[0] == 503

    scene.give_password("wrong-password")
    scene.write(1, 2, 3)
    deadline = time.monotonic() + 30
    while "refuses the user" not in scene.report["error"]:
        assert time.monotonic() < deadline, scene.report
        await asyncio.sleep(0.05)
    assert (await scene.http("/healthz"))[0] == 200, "no restart helps a wrong password"

    scene.give_password(PASSWORD)
    written = await scene.told("Writing", rows=3, lag=0)
    assert written["error"] == ""
    assert written["latencyP99Ms"] >= 1000
    assert (await scene.http("/readyz"))[0] == 200
    with scene.redis.client("writer", PASSWORD) as client:
        assert hash_of(client, "ibfeed:energy:tick:CLZ6")["price"] == "3.50"
    _, metrics = await scene.http("/metrics")
    labels = '{destination="redis",feed="energy",sink="latest"}'
    assert f"ibfeed_sink_rows_total{labels} 3.0" in metrics
    assert f"ibfeed_sink_lag_records{labels} 0.0" in metrics

    broken = FakeMessage("ticklast", str(CONID).encode(), b"{", tick(1).of_headers)
    scene.own.write([broken])
    left_out = await scene.told("Writing", unreadable=1)
    assert "Input data was truncated" in left_out["unreadableCause"]
    scene.write(4)
    after = await scene.told("Writing", rows=4, lag=0, unreadable=1)
    assert after["unreadableCause"] == left_out["unreadableCause"], "it stays told"
    assert f"ibfeed_sink_unreadable_records_total{labels} 1.0" in (await scene.http("/metrics"))[1]

    scene.redis.kill()
    scene.write(5)
    failing = await scene.told("Retrying")
    assert f"Redis at {scene.redis.url} fails" in failing["error"]
    scene.redis.start()
    await scene.told("Writing", error="", lag=0)
    with scene.redis.client("writer", PASSWORD) as client:
        assert hash_of(client, "ibfeed:energy:tick:CLZ6")["price"] == "5.50"

    scene.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(scene.process.wait, 20) == 0, scene.log.read_text()
    for secret in (PASSWORD, "wrong-password"):
        assert secret not in scene.log.read_text()
        assert secret not in json.dumps(scene.api.objects)
