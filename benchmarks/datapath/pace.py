"""What a worker adds and costs at IB's own pace: 100 contracts, two updates a second each, evenly spread.

Sent and consumed on the other processor than the worker's, where the broker is, too; by one clock. In turns with the
bare loop, which shows what of it is the wire's, Kafka's and the machine's. A first window does not count: a broker that
has just started translates its code meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from confluent_kafka import Consumer, TopicPartition

from datapath.frames import FIRST_CONID, PACE_MS
from datapath.lap import WARM
from datapath.laps import CONTRACTS, PARTITIONS, Outcome, Track, ours
from datapath.throughput import SIDE_TOPICS
from datapath.verdict import median
from ownership.verdict import quantile
from support.broker import Broker

Beside = Callable[[str], AbstractContextManager[object]]
PER_S: Final = 200.0
WINDOWS: Final = 3
UPDATES: Final = 3000  # of each window


def _nothing(_: str) -> AbstractContextManager[object]:
    return nullcontext()


class _Place(msgspec.Struct):
    """Of an update, in our record or in IB's own frame, which the bare loop passes on."""

    conid: int
    event_time: int | None = None
    updated: int | None = msgspec.field(name="_updated", default=None)

    @property
    def key(self) -> tuple[int, int]:
        return self.conid, self.event_time or self.updated or 0


_decode: Final = msgspec.json.Decoder(_Place).decode


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Measure latency, processor and memory at IB's pace.

    Keys ``added_latency_ms``, ``bare_latency_ms``, ``cpu_percent_at_ib_rate``, ``bare_cpu_percent``,
    ``worker_rss_mb``.
    """
    clients: dict[str, Sequence[str | Path]] = {"bare": [sys.executable, "-m", "datapath.bare"], "ours": ours()}
    windows: dict[str, list[Window]] = {name: [] for name in clients}
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        try:
            asyncio.run(broker.start())
            track = Track(Path(folder), broker.servers)
            say(f"warming up: {window(track, clients['ours'], 'pace-first')}")
            for number in range(WINDOWS):
                for name, command in clients.items():
                    windows[name].append(window(track, command, f"pace-{name}-{number}"))
                    say(f"{name}: {windows[name][-1]}")
        finally:
            broker.kill()
    return {
        "added_latency_ms": _quantiles(windows["ours"]),
        "bare_latency_ms": _quantiles(windows["bare"]),
        "cpu_percent_at_ib_rate": round(median([window.share for window in windows["ours"]]), 2),
        "bare_cpu_percent": round(median([window.share for window in windows["bare"]]), 2),
        "worker_rss_mb": max(window.rss_mb for window in windows["ours"]),
    }


def _quantiles(windows: Sequence[Window]) -> dict[str, float]:
    return {
        "p50": round(median([window.p50 for window in windows]), 2),
        "p99": round(median([window.p99 for window in windows]), 2),
    }


@dataclass(frozen=True, slots=True)
class Window:
    """Latencies in ms; ``share``: per cent of a processor."""

    p50: float
    p99: float
    share: float
    rss_mb: float

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f} ms, p99 {self.p99:.2f} ms, {self.share:.1f}% of a core, {self.rss_mb:.0f} MB"


def window(track: Track, client: Sequence[str | Path], topic: str, beside: Beside = _nothing) -> Window:
    """Run a client at IB's pace. ``beside`` gets the topic, and runs something meanwhile.

    Raises AssertionError if an update does not come to Kafka.
    """
    with (
        track.topic(topic, PARTITIONS),
        track.topic(topic + SIDE_TOPICS[0], 1),
        track.topic(topic + SIDE_TOPICS[1], 1),
        _Arrivals(track.servers, topic) as consumer,
        beside(topic),
    ):
        found = track.run(client, topic, UPDATES, UPDATES, per_s=PER_S)
        latencies = added_ms(found, consumer.all_of(UPDATES))
    share = 100 * found.cpu_seconds / found.seconds
    return Window(quantile(latencies, 0.5), quantile(latencies, 0.99), share, found.peak_rss_mb)


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
                self._arrived[_decode(message.value() or b"").key] = now


def added_ms(found: Outcome, arrived: dict[tuple[int, int], int]) -> list[float]:
    """From each update's sending to its consumption, the warm-up left out. Raises KeyError if one did not come."""
    return [
        (arrived[FIRST_CONID + number % CONTRACTS, found.begin_ms + number // CONTRACTS * PACE_MS] - sent) / 1e6
        for number, sent in enumerate(found.sent_ns)
        if number >= WARM * len(found.sent_ns)
    ]
