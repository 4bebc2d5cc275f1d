"""A real Prometheus, a real sink and a real fault: its alert fires, and ends with the fault."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from support import reader_records
from support.alerts import plain_rules
from support.broker import Broker
from support.own_topics import OwnTopics
from support.ports import free_port
from support.prometheus import Prometheus, hurried
from support.reader_records import CONID, contract, tick
from support.redis import RedisServer
from support.sink_api import SINKS, sink_api
from support.sink_process import POD, start_sink

WITHIN_S = 30.0


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = Broker(tmp_path)
    try:
        await broker.start()
        yield broker
    finally:
        broker.kill()


async def until(what: Callable[[], bool], why: str) -> float:
    """Wait for it; return how long it took, in seconds."""
    begun = time.monotonic()
    while not await asyncio.to_thread(what):
        assert time.monotonic() - begun < WITHIN_S, f"not within {WITHIN_S:g} s: {why}"
        await asyncio.sleep(0.2)
    return time.monotonic() - begun


async def test_a_sink_whose_redis_is_killed_is_told_and_so_is_its_return(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    targets = {port: {"namespace": "markets", "pod": POD}}
    async with sink_api() as (api, kube):
        api.put(SINKS, "latest", spec={})
        with (
            RedisServer(tmp_path / "redis") as redis,
            OwnTopics(servers=broker.servers) as own,
            Prometheus(tmp_path / "prometheus", hurried(plain_rules()), targets) as prometheus,
        ):
            address = kube._client.configuration.host
            log, to = tmp_path / "sink.log", {"url": redis.url}
            process = start_sink(own, to, api=address, files=tmp_path, log=log, port=port)
            begun = time.time()

            def fires() -> bool:
                return "IbSinkFailing" in prometheus.alerts()

            def report() -> dict[str, Any]:
                pods: dict[str, dict[str, Any]] = api.status("latest").get("pods", {})
                return pods.get(POD, {})

            def write(seq: int) -> None:
                monkeypatch.setattr(reader_records, "AT_MS", int(time.time() * 1000))
                own.write([contract(), tick(seq, conid=CONID, symbol="CLZ6")])

            try:
                await until(lambda: report().get("lag") == 0, "it has its partitions")
                write(1)
                await until(lambda: report().get("rows") == 1, "the record is in Redis")
                await until(lambda: "IbOperatorWithoutLeader" in prometheus.alerts(), "no operator is scraped")
                await asyncio.sleep(3)
                assert set(prometheus.alerts()) == {"IbOperatorWithoutLeader"}, "the sink is well"

                redis.kill()
                write(2)
                took = await until(fires, "Redis is away")
                told = prometheus.alerts()["IbSinkFailing"]
                assert told["labels"]["pod"] == POD
                assert told["annotations"]["summary"] == f"Pod {POD} of sink markets/latest cannot write"
                print(f"fired {took:.1f} s after Redis was killed")

                redis.start()
                await until(lambda: not fires(), "Redis is back")
                if path := os.environ.get("IBFEED_RECORD_SERIES"):  # for tests/recordings/sink-outage.json
                    await asyncio.sleep(5)
                    series = prometheus.recorded('{__name__=~"ibfeed_sink_.*",__name__!~".*_created"}', begun)
                    await asyncio.to_thread(Path(path).write_text, json.dumps(series))
            finally:
                process.kill()
                process.wait()
