"""When each tick could be read in a destination. Every destination is watched from this process, by one clock.

A destination that holds the latest value only may skip ticks: a tick counts as readable once it, or a newer one of its
contract, is.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import redis
from confluent_kafka import Consumer, TopicPartition

from downstream.venue import PARTITIONS, Sent, numbered
from ibfeed.clickhouse import Server
from ibfeed_platform.hot_store.keys import Keys
from ownership.verdict import quantile

_JOIN_S: Final = 30.0
_PAUSE_S: Final = 0.02  # between two looks at a view
Look = tuple[str, int, int]  # symbol, its seq in the destination, our clock in ns after it was read


class Watcher(ABC):
    """Looks at a destination in a thread of its own until it is closed."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.reached: dict[str, int] = {}  # the highest seq of each symbol
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @abstractmethod
    def look(self) -> Iterable[tuple[str, int]]:
        """Return symbols and the seq that the destination has of them. Waits for news, but not for long."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_JOIN_S)

    def await_all(self, newest: Mapping[str, Sent], within_s: float) -> None:
        """Wait until the newest tick of each contract is readable."""
        deadline = time.monotonic() + within_s
        while missing := [tick for tick in newest.values() if self.reached.get(tick.symbol, 0) < tick.seq]:
            assert time.monotonic() < deadline, f"{len(missing)} of {len(newest)} contracts are not up to date"
            assert self._thread.is_alive(), "the watcher has failed"
            time.sleep(0.05)

    def _watch(self) -> None:
        while not self._stop.is_set():
            found = list(self.look())
            now = time.time_ns()
            for symbol, seq in found:
                self.looks.append((symbol, seq, now))
                self.reached[symbol] = max(seq, self.reached.get(symbol, 0))


class KafkaWatcher(Watcher):
    """A bare consumer, which shows what of a latency is Kafka's and the machine's."""

    def __init__(self, servers: str, topic: str) -> None:
        super().__init__()
        settings = {"bootstrap.servers": servers, "group.id": "bench-bare", "enable.auto.commit": False}
        self._consumer = Consumer(settings)
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])

    def look(self) -> Iterator[tuple[str, int]]:
        message = self._consumer.poll(0.2)
        if message is not None and message.error() is None:
            place = _decode(message.value() or b"")
            yield place.symbol, place.seq


class RedisWatcher(Watcher):
    """Redis tells which hash was written; then the hash is read."""

    def __init__(self, client: redis.Redis, symbols: Iterable[str], keys: Keys) -> None:
        super().__init__()
        self._symbols = {keys.tick(symbol): symbol for symbol in symbols}
        self._client = client
        client.config_set("notify-keyspace-events", "Eh")
        self._told: Any = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._told.subscribe("__keyevent@0__:hset")

    def look(self) -> Iterator[tuple[str, int]]:
        message = self._told.get_message(timeout=0.2)
        symbol = None if message is None else self._symbols.get(message["data"])
        if symbol is not None:
            yield symbol, int(str(self._client.hget(message["data"], "seq") or 0))


class ClickHouseWatcher(Watcher):
    """Reads the view of the latest ticks again and again, so it sees a value up to one look too late."""

    def __init__(self, server: Server, database: str) -> None:
        super().__init__()
        self._server = server
        self._query = f"SELECT symbol, seq FROM {database}.latest_tick"

    def look(self) -> Iterator[tuple[str, int]]:
        self._stop.wait(_PAUSE_S)
        for row in self._server.rows(self._query):
            yield row["symbol"], row["seq"]


class _Place(msgspec.Struct):
    symbol: str
    seq: int


_decode: Final = msgspec.json.Decoder(_Place).decode


def latencies_ms(sent: Sequence[Sent], looks: Sequence[Look]) -> list[float]:
    """Return for each tick the time in ms until it, or a newer one of its contract, was readable.

    Ticks that were not found readable have none.
    """
    found = []
    waiting = numbered(sent)
    places = dict.fromkeys(waiting, 0)
    for symbol, seq, at_ns in looks:
        ticks, place = waiting.get(symbol, []), places.get(symbol, 0)
        while place < len(ticks) and ticks[place].seq <= seq:
            found.append((at_ns - ticks[place].at_ns) / 1e6)
            place += 1
        places[symbol] = place
    return found


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return n, p50, p99 and the longest of latencies in ms."""
    told = {"p50": quantile(values, 0.5), "p99": quantile(values, 0.99), "max": max(values)}
    return {"n": len(values), **{name: round(value, 1) for name, value in told.items()}}
