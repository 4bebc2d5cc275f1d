"""The sinks to Redis while their Kafka is away: they tell it, and go on by themselves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from ibfeed import kafka
from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.sinks.computation import ComputationSettings, ComputationSink
from ibfeed_platform.sinks.redis import RedisSink
from ibfeed_platform.sinks.redis_settings import RedisSettings
from support import reader_records
from support.broker import Broker
from support.own_topics import OwnTopics
from support.reader_records import contract, tick
from support.redis import RedisServer, hash_of
from support.sinks import Running, wait_for

KEYS = Keys("energy")
COUNTS = "SELECT symbol AS key, size FROM latest"  # the size of these ticks is their count


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = Broker(tmp_path)
    try:
        await broker.start()
        yield broker
    finally:
        broker.kill()


def error_of(running: Running) -> str | None:
    return running.sink.progress.error


def is_well(running: Running) -> bool:
    return error_of(running) is None


async def test_sinks_go_on_when_kafka_comes_back(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_records, "AT_MS", int(time.time() * 1000))
    monkeypatch.setattr(kafka, "AWAY_S", 2.0)
    monkeypatch.setattr(kafka, "CONNECT_S", 2.0)
    with RedisServer(tmp_path / "redis") as server, OwnTopics(servers=broker.servers) as own, server.client() as client:
        settings = RedisSettings(server.url)
        computation = ComputationSettings(settings, "power", "counts", sql=COUNTS, every_s=0.2)
        rows = {"tick": KEYS.tick("CLZ6"), "computation": KEYS.row("power", "counts", "CLZ6")}

        def sizes() -> set[str | None]:
            return {hash_of(client, key).get("size") for key in rows.values()}

        own.write([contract(), tick(1)])
        with (
            Running(RedisSink(settings, own.source())) as latest,
            Running(ComputationSink(computation, own.source())) as computed,
        ):
            wait_for(lambda: sizes() == {"1"}, "both have written")
            broker.kill()
            for running in (latest, computed):
                told = wait_for(partial(error_of, running), "the outage is told")
                assert "check the address" in told
            await broker.start()
            own.write([tick(2)])
            wait_for(lambda: sizes() == {"2"}, "both go on")
            for running in (latest, computed):
                wait_for(partial(is_well, running), "all is well again")
                assert running.failure is None
