"""What a worker adds and costs at IB's own pace: 100 contracts, two updates a second each, evenly spread.

Sent and consumed on the other processor than the worker's, where the broker is, too; by one clock.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from confluent_kafka import Consumer, TopicPartition

from ownership.verdict import quantile
from support.broker import Broker
from worker.frames import FIRST_CONID, PACE_MS
from worker.lap import WARM
from worker.laps import CONTRACTS, PARTITIONS, Outcome, Track, ours
from worker.throughput import SIDE_TOPICS
from worker.verdict import median

PER_S: Final = 200.0
WINDOWS: Final = 3
UPDATES: Final = 3000  # of each window


class _Place(msgspec.Struct):
    conid: int
    event_time: int


_decode: Final = msgspec.json.Decoder(_Place).decode


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Keys ``added_latency_ms``, ``cpu_percent_at_ib_rate``, ``worker_rss_mb``."""
    latencies: list[list[float]] = []
    shares: list[float] = []
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        try:
            asyncio.run(broker.start())
            track = Track(Path(folder), broker.servers)
            for number in range(WINDOWS):
                found, arrived = _window(track, f"pace-{number}")
                latencies.append(added_ms(found, arrived))
                shares.append(100 * found.cpu_seconds / found.seconds)
                peak = max(peak, found.peak_rss_mb)
                p50, p99 = quantile(latencies[-1], 0.5), quantile(latencies[-1], 0.99)
                say(f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, {shares[-1]:.1f}% of a core, {found.peak_rss_mb:.0f} MB")
        finally:
            broker.kill()
    return {
        "added_latency_ms": {
            "p50": round(median([quantile(of, 0.5) for of in latencies]), 2),
            "p99": round(median([quantile(of, 0.99) for of in latencies]), 2),
        },
        "cpu_percent_at_ib_rate": round(median(shares), 2),
        "worker_rss_mb": peak,
    }


def _window(track: Track, topic: str) -> tuple[Outcome, dict[tuple[int, int], int]]:
    """The outcome, and when each update (conid, event time) was consumed, in ns since 1970."""
    with (
        track.topic(topic, PARTITIONS),
        track.topic(topic + SIDE_TOPICS[0], 1),
        track.topic(topic + SIDE_TOPICS[1], 1),
        _Arrivals(track.servers, topic) as consumer,
    ):
        found = track.run(ours(), topic, UPDATES, UPDATES, per_s=PER_S)
        return found, consumer.all_of(UPDATES)


class _Arrivals:
    """Takes every record as soon as it is there, one by one, in a thread of its own."""

    def __init__(self, servers: str, topic: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "enable.auto.commit": False})
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        self._arrived: dict[tuple[int, int], int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self._consumer.close()

    def all_of(self, count: int) -> dict[tuple[int, int], int]:
        deadline = time.monotonic() + 10
        while len(self._arrived) < count:
            assert time.monotonic() < deadline, f"{len(self._arrived)} of {count} records came"
            time.sleep(0.05)
        return self._arrived

    def _take(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.2)
            if message is not None and message.error() is None:
                now = time.time_ns()
                place = _decode(message.value() or b"")
                self._arrived[place.conid, place.event_time] = now


def added_ms(found: Outcome, arrived: dict[tuple[int, int], int]) -> list[float]:
    """From each update's sending to its consumption, the warm-up left out. Raises KeyError if one did not come."""
    return [
        (arrived[FIRST_CONID + number % CONTRACTS, found.begin_ms + number // CONTRACTS * PACE_MS] - sent) / 1e6
        for number, sent in enumerate(found.sent_ns)
        if number >= WARM * len(found.sent_ns)
    ]
