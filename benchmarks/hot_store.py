"""Measures the hot store's plain consumer: from IB's time to a reader of Redis, and records a second of one process.

``python benchmarks/hot_store.py`` needs a Kafka (``KAFKA``) and ``redis-server``. It prints JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import redis

from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.hot_store.store import HotStore, HotStoreSettings
from ibfeed_platform.hot_store.updates import Latest
from ibfeed_platform.sinks.redis import RedisSink
from ibfeed_platform.sinks.redis_settings import RedisSettings
from support import reader_records
from support.own_topics import OwnTopics
from support.reader_records import CONID, FakeMessage, tick
from support.redis import RedisServer
from support.sinks import RedisSinkProcess, Running, wait_for

RATE: Final = 500  # updates a second
SECONDS: Final = 40.0
SYMBOLS: Final = 100
RECORDS: Final = 200_000
KEYS: Final = Keys("energy")


def symbol_of(place: int) -> str:
    return f"CL{'FGHJKMNQUVXZ'[place % 12]}{place // 12}"


def tick_of_now(count: int) -> FakeMessage:
    """The next tick of one of the contracts, with the present as IB's time."""
    reader_records.AT_MS = int(time.time() * 1000) - count  # the tick adds its count
    place = count % SYMBOLS
    return tick(count, conid=CONID + place, symbol=symbol_of(place))


class Observer(threading.Thread):
    """A reader of Redis that is told of each write, and looks at the event time."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(daemon=True)
        self.latencies_ms: list[float] = []
        self.closing = threading.Event()
        self._client = server.client()
        self._client.config_set("notify-keyspace-events", "Eh")
        self._messages = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._messages.subscribe("__keyevent@0__:hset")

    def run(self) -> None:
        while not self.closing.is_set():
            message = self._messages.get_message(timeout=0.1)
            if message is not None and ":tick:" in message["data"]:
                now_ms = time.time() * 1000
                at = self._client.hget(message["data"], "event_time")
                self.latencies_ms.append(now_ms - float(at or 0))


def latency(folder: Path) -> dict[str, Any]:
    """Write at an even rate, and watch Redis from the time on at which the sink is at work."""
    with RedisServer(folder / "redis") as server, OwnTopics() as own:
        sink = RedisSinkProcess(RedisSettings(server.url), own.source(), folder / "sink.log")
        sink.start()
        try:
            own.write([tick_of_now(0)])
            with server.client() as client:
                wait_for(lambda: client.exists(KEYS.tick(symbol_of(0))), "the sink is at work")
            observer = Observer(server)
            observer.start()
            began = time.monotonic()
            for count in range(1, int(RATE * SECONDS)):
                time.sleep(max(0.0, began + count / RATE - time.monotonic()))
                own.send(tick_of_now(count))
            took = time.monotonic() - began
            time.sleep(1)
            observer.closing.set()
            observer.join()
        finally:
            sink.kill()
    found = statistics.quantiles(observer.latencies_ms, n=100)
    return {
        "updates_per_s": round(RATE * SECONDS / took),
        "samples": len(observer.latencies_ms),
        "p50_ms": round(found[49], 1),
        "p99_ms": round(found[98], 1),
        "max_ms": round(max(observer.latencies_ms), 1),
    }


def throughput(folder: Path) -> dict[str, Any]:
    """Let one process carry a backlog. Of each batch it writes the newest tick of a contract."""
    with RedisServer(folder / "redis") as server, OwnTopics() as own:
        own.write(tick_of_now(count) for count in range(RECORDS))
        with Running(RedisSink(RedisSettings(server.url), own.source())) as running:
            wait_for(lambda: running.sink.progress.rows, "the first rows")
            began, rows = time.monotonic(), running.sink.progress.rows
            wait_for(lambda: running.sink.progress.rows == RECORDS, "the last rows", 300)
            took = time.monotonic() - began
    return {"records": RECORDS, "records_per_s": round((RECORDS - rows) / took)}


def writes(folder: Path) -> dict[str, Any]:
    """Write keys that differ, so that none is left out."""
    at = int(time.time() * 1000)
    fields = {f"field{number}": "71.90" for number in range(22)}
    updates = [Latest(f"key{number}", 1, 1, at, {**fields, "epoch": "1", "seq": "1"}) for number in range(10_000)]
    with RedisServer(folder / "redis", durable=False) as server, server.client() as client:
        began = time.monotonic()
        HotStore(client, HotStoreSettings()).write(updates)
        return {"keys_per_s": round(len(updates) / (time.monotonic() - began))}


def main() -> None:
    report: dict[str, Any] = {"load_before": os.getloadavg()[0], "redis_py": redis.__version__}
    for measure in (writes, throughput, latency):
        with tempfile.TemporaryDirectory() as folder:
            report[measure.__name__] = measure(Path(folder))
    print(json.dumps(report | {"load_after": os.getloadavg()[0]}, indent=2))


if __name__ == "__main__":
    main()
