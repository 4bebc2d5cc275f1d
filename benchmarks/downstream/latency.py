"""From an update's event to the moment when its value can be read in each destination, one destination after the other.

The event is when the bench hands the record to Kafka's client. Beside each destination a bare consumer reads the same
records: its latency is Kafka's and the machine's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, Final

from downstream.arrivals import ClickHouseWatcher, KafkaWatcher, RedisWatcher, Watcher, latencies_ms, quantiles
from downstream.stage import Stage, running, stage
from downstream.venue import FEED, Venue, symbol_of
from ibfeed.clickhouse import Server
from ibfeed_platform.hot_store.keys import Keys
from support.redis import RedisServer
from support.spark import SparkJob

PER_S: Final = 500.0
SECONDS: Final = float(os.environ.get("LATENCY_S", "60"))
_WARM_S: Final = 10.0  # it is not counted: imports, connections, and the JVM's translation of its code
_ARRIVE_S: Final = 120.0
Say = Callable[[str], None]


def measure(say: Say) -> dict[str, Any]:
    """Keys ``venue_to_<destination>_ms`` and ``bare_beside_<destination>_ms``, each with n, p50, p99 and max."""
    found: dict[str, Any] = {}
    for name, destination in DESTINATIONS.items():
        with stage() as on, destination(on) as watcher:
            found |= _one(name, on.venue(), on, watcher, say)
    return found


def _one(name: str, venue: Venue, on: Stage, watcher: Watcher, say: Say) -> dict[str, Any]:
    with KafkaWatcher(on.broker.servers, on.topics.ticks or "") as bare, watcher:
        venue.write(0)
        watcher.await_all(venue.newest(), _ARRIVE_S)  # it is up
        venue.run(PER_S, _WARM_S)
        watcher.await_all(venue.newest(), _ARRIVE_S)
        warm = len(venue.sent)
        venue.run(PER_S, SECONDS)
        watcher.await_all(venue.newest(), _ARRIVE_S)
        bare.await_all(venue.newest(), _ARRIVE_S)
    counted = venue.sent[warm:]
    found = {f"venue_to_{name}_ms": watcher, f"bare_beside_{name}_ms": bare}
    told = {key: quantiles(latencies_ms(counted, of.looks)) for key, of in found.items()}
    for key, values in told.items():
        say(f"{key}: {values}")
        assert values["n"] == len(counted), f"{key}: {values['n']} of {len(counted)} updates were seen"
    return told


@contextmanager
def _clickhouse_latest(on: Stage) -> Iterator[Watcher]:
    with on.clickhouse() as engine, closing(Server(engine.access())) as server:
        yield ClickHouseWatcher(server, on.layout.database)


@contextmanager
def _redis(on: Stage) -> Iterator[Watcher]:
    with RedisServer(on.folder / "redis") as server, running(on.redis_sink(server.url)), server.client() as client:
        yield RedisWatcher(client, map(symbol_of, range(50)), Keys(FEED))


@contextmanager
def _redis_spark(on: Stage) -> Iterator[Watcher]:
    with RedisServer(on.folder / "redis") as server, server.client() as client:
        home, kafka = on.folder / "spark", on.broker.servers
        with SparkJob(home, kafka=kafka, feed=FEED, topics=on.topics, redis=server.url) as job:
            job.await_query()
            yield RedisWatcher(client, map(symbol_of, range(50)), Keys(FEED))


DESTINATIONS: Final[Mapping[str, Callable[[Stage], AbstractContextManager[Watcher]]]] = {
    "clickhouse_latest": _clickhouse_latest,
    "redis": _redis,
    "redis_spark": _redis_spark,
}
