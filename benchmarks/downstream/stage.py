"""A broker of the benchmark's own, with a feed's topics and the sinks that read them."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from downstream.venue import FEED, PARTITIONS, Venue, made_topics
from ibfeed import Topics
from ibfeed.clickhouse import Layout, Server
from ibfeed_platform.sinks.redis import RedisSettings
from ibfeed_platform.sinks.source import KafkaSource
from support.broker import Broker
from support.clickhouse import ClickHouse
from support.sinks import RedisSinkProcess

GROUP: Final = "bench-redis"
# A sink that was killed is noticed within 6 s, and another one of its group takes its partitions.
_QUICK: Final = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}


@dataclass(frozen=True)
class Stage:
    """What a phase needs. ``folder`` is for whatever it writes, and goes at the end."""

    broker: Broker
    topics: Topics
    folder: Path

    def venue(self, contracts: int = 50) -> Venue:
        """Return a feed whose reference data are on Kafka already."""
        venue = Venue(self.broker.servers, self.topics, contracts)
        venue.write_contracts()
        return venue

    @property
    def layout(self) -> Layout:
        """The tables of the feed's records in ClickHouse."""
        return Layout(self.broker.servers, topics=self.topics, feed=FEED, group="bench-clickhouse")

    @contextmanager
    def clickhouse(self) -> Iterator[ClickHouse]:
        """ClickHouse, which reads the topics into its tables."""
        home = self.folder / "clickhouse"
        home.mkdir()
        engine = ClickHouse(home)
        try:
            engine.start()
            with contextlib.closing(Server(engine.access())) as server:
                server.apply(self.layout)
            yield engine
        finally:
            engine.kill()

    def redis_sink(self, url: str, name: str = "sink") -> RedisSinkProcess:
        """Return the plain consumer. All of one stage are members of one group."""
        source = KafkaSource(self.broker.servers, FEED, self.topics, GROUP, _QUICK)
        return RedisSinkProcess(RedisSettings(url), source, self.folder / f"{name}.log")


@contextmanager
def stage(partitions: int = PARTITIONS) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "kafka"
        home.mkdir()
        broker = Broker(home)
        try:
            asyncio.run(broker.start())
            with made_topics(broker.servers, uuid.uuid4().hex[:8], partitions) as topics:
                yield Stage(broker, topics, Path(name))
        finally:
            broker.kill()


@contextmanager
def running(sink: RedisSinkProcess) -> Iterator[RedisSinkProcess]:
    sink.start()
    try:
        yield sink
    finally:
        sink.kill()
