"""The records on Kafka, as a consumer sees them."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec
from confluent_kafka import OFFSET_END, Consumer, Message, TopicPartition

from support.kafka_message import headers_of, place_of, value_of

KAFKA = os.environ.get("KAFKA", "10.244.0.1:9092")

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class Record:
    partition: int
    offset: int
    arrived: float  # time.time() at this consumer
    key: str
    headers: dict[str, str]
    value: dict[str, Any]

    @property
    def conid(self) -> int:
        return int(self.key)


class Collector(Generic[Kept]):
    """Collects every record of one topic from the moment it is opened, in a thread of its own.

    ``keep`` returns the part of a record that is remembered; None: nothing.
    """

    def __init__(self, topic: str, keep: Callable[[Message], Kept | None], servers: str = KAFKA) -> None:
        self._keep = keep
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": f"test-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
                "log_level": 2,
            }
        )
        self._topic = topic
        self._records: list[Kept] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._collect, name=f"tap-{topic}", daemon=True)

    def __enter__(self) -> Self:
        found = self._consumer.list_topics(self._topic, timeout=10).topics[self._topic]
        if not found.partitions:
            raise AssertionError(f"topic {self._topic} is not there")
        ends = []
        for partition in found.partitions:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=10)
            ends.append(TopicPartition(self._topic, partition, high if high >= 0 else OFFSET_END))
        self._consumer.assign(ends)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        self._consumer.close()

    def _collect(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(500, timeout=0.05):
                if message.error():
                    continue
                if (kept := self._keep(message)) is None:
                    continue
                with self._lock:
                    self._records.append(kept)

    def records(self) -> list[Kept]:
        with self._lock:
            return list(self._records)


class Tap(Collector[Record]):
    """A collector of whole records."""

    def __init__(self, topic: str = "ticklast", servers: str = KAFKA) -> None:
        super().__init__(topic, _whole, servers)

    def by_contract(self) -> dict[int, list[Record]]:
        grouped: dict[int, list[Record]] = defaultdict(list)
        for record in self.records():
            grouped[record.conid].append(record)
        return grouped

    def first_after(self, conids: Iterable[int], moment: float) -> dict[int, float]:
        """Return conid -> arrival of its first record after ``moment``. Contracts without one are left out."""
        wanted, found = set(conids), dict[int, float]()
        for record in self.records():
            if record.arrived > moment and record.conid in wanted:
                found.setdefault(record.conid, record.arrived)
        return found


def _whole(message: Message) -> Record:
    partition, offset = place_of(message)
    return Record(
        partition=partition,
        offset=offset,
        arrived=time.time(),
        key=(message.key() or b"").decode(),
        headers=headers_of(message),
        value=msgspec.json.decode(value_of(message)),
    )


def topic_exists(topic: str, servers: str = KAFKA) -> bool:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "probe", "log_level": 2})
    try:
        return topic in consumer.list_topics(timeout=10).topics
    finally:
        consumer.close()
