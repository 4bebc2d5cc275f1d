"""Topics of a test's own on the real Kafka, and what writes to them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import ibfeed
from ibfeed_platform.sinks.source import KafkaSource
from support.avro_feed import AvroFeed
from support.reader_records import FakeMessage
from support.stream import KAFKA

PARTITIONS = 3


@dataclass
class OwnTopics:
    """The four topics of a feed. They are deleted at the end.

    With the URL of a schema registry every second record is Avro, as on the topics of a feed whose format was changed.
    """

    servers: str = KAFKA
    registry: str = ""
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self.topics = ibfeed.Topics(
            ticks=f"{self.name}-ticks",
            books=f"{self.name}-books",
            events=f"{self.name}-events",
            contracts=f"{self.name}-contracts",
        )
        self._names = {
            "ticklast": self.topics.ticks,
            "l2-data": self.topics.books,
            "feed-events": self.topics.events,
            "contracts": self.topics.contracts,
        }
        self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        self._refused: list[KafkaError] = []
        self._avro: AvroFeed | None = None
        self._sent = 0
        properties = {"bootstrap.servers": self.servers, "log_level": 2, "linger.ms": 0}
        self._producer = Producer({**properties, "queue.buffering.max.messages": 1_000_000})

    def __enter__(self) -> Self:
        new = [NewTopic(name, PARTITIONS, 1) for name in self._names.values() if name is not None]
        for future in self._admin.create_topics(new).values():
            future.result(20)
        self._avro = AvroFeed(self.registry, self.topics) if self.registry else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for future in self._admin.delete_topics([name for name in self._names.values() if name is not None]).values():
            future.result(20)

    def source(self) -> KafkaSource:
        """A source of the feed ``energy``, with a consumer group of the test's own."""
        registry = ibfeed.SchemaRegistry(self.registry) if self.registry else None
        return KafkaSource(self.servers, "energy", self.topics, self.name, registry=registry, avro=bool(self.registry))

    def write(self, messages: Iterable[FakeMessage]) -> None:
        """Write records, each contract's to one partition, and wait until Kafka has them."""
        for message in messages:
            self.send(message)
        assert self._producer.flush(60) == 0
        assert not self._refused, self._refused

    def send(self, message: FakeMessage) -> None:
        """Write a record, and wait for nothing."""
        key, topic, value = message.key(), self._names[message.topic()] or "", message.value()
        self._sent += 1
        if self._avro is not None and self._sent % 2:
            value = self._avro.encode(topic, value)
        self._producer.produce(
            topic,
            value=value,
            key=key,
            partition=int(key) % PARTITIONS if key.isdigit() else 0,
            headers=message.headers(),
            on_delivery=self._note,
        )
        self._producer.poll(0)

    def _note(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._refused.append(error)
