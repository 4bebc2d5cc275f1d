"""A Kafka client without Kafka. It keeps records that fit the schemas, and acknowledges them when told to."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError
from jsonschema import Draft202012Validator

from ibfeed_api.feed import Kafka, Topic
from ibfeed_api.records import SCHEMA_DEPTH, SCHEMA_EVENT, SCHEMA_TICK
from ibfeed_worker.publish import BrokerError, KafkaCredentials, QueueFullError, Tail
from ibfeed_worker.publish.admin import TopicCreationError
from ibfeed_worker.publish.broker import TOO_LARGE, Delivered, Headers, Hear, UnsendableError
from ibfeed_worker.publish.survey import Partition, Survey, TopicLimits
from ibfeed_worker.publish.table import Row
from ibfeed_worker.publish.tail import Question
from ibfeed_worker.publish.trouble import Heard

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
VALIDATORS = {
    name: Draft202012Validator(json.loads((SCHEMAS / f"{name.replace('/', '-')}.json").read_text()))
    for name in (SCHEMA_TICK, SCHEMA_DEPTH, SCHEMA_EVENT)
}
PURGED = KafkaError._PURGE_INFLIGHT


@dataclass(frozen=True)
class Refused:
    """An error with the methods of the client library's KafkaError."""

    text: str
    number: int = KafkaError.UNKNOWN

    def code(self) -> int:
        return self.number

    def __str__(self) -> str:
        return self.text


@dataclass
class Produced:
    topic: str
    partition: int
    key: str
    value: dict[str, Any]
    headers: dict[str, str]
    delivered: Delivered
    raw: bytes = b""


@dataclass(frozen=True)
class Message:
    raw: bytes

    def value(self) -> bytes:
        return self.raw


class NoTables:
    """The calls for a compacted topic, which no test of the stream makes."""

    def provide_table(self, topic: Topic, *, create: bool) -> None:
        raise AssertionError(f"{topic.name} is not of the stream")

    def read_table(self, topic: Topic) -> Mapping[bytes, bytes]:
        raise AssertionError(f"{topic.name} is not of the stream")

    def write_table(self, topic: Topic, rows: Sequence[Row]) -> None:
        raise AssertionError(f"{topic.name} is not of the stream")


@dataclass
class FakeBroker(NoTables):
    """The broker and its producer.

    ``acknowledges``: records are acknowledged at once, else only by ``answer``. ``room`` is the number of records that
    fit into the queue. After a refusal it takes nothing more until the next ``connect``, as the client library does
    (without gaps).
    """

    acknowledges: bool = True
    room: int = 10**6
    largest: int = 10**6  # bytes of a record that the client library takes
    topics: dict[str, int] = field(default_factory=lambda: {"ticklast": 12, "l2-data": 12, "feed-events": 1})
    down: str = ""
    may_create: bool = True
    produced: list[Produced] = field(default_factory=list)
    open: list[Produced] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    connections: int = 0
    questions: list[list[tuple[str, bool]]] = field(default_factory=list)  # of each search: key, and ``anywhere``
    batch_sizes: list[int] = field(default_factory=list)  # one for each connection
    asked_as: list[KafkaCredentials] = field(default_factory=list)
    tail: Tail = field(default_factory=lambda: Tail(None))  # the tail for every contract that is asked for
    unreadable: str = ""
    known: dict[str, TopicLimits] = field(default_factory=dict)
    forbidden: frozenset[str] = frozenset()
    hear: Hear | None = None
    abandoned: int = 0
    refuses: Callable[[Produced], Refused | None] = lambda _: None  # why Kafka refuses a record; None: it does not
    broken: bool = False
    _callbacks: deque[tuple[Produced, Any]] = field(default_factory=deque)

    def connect(self, kafka: Kafka, who: KafkaCredentials, client: str, hear: Hear, batch_size: int) -> FakeBroker:
        self.connections += 1
        self.broken = False
        self.batch_sizes.append(batch_size)
        self.asked_as.append(who)
        self.hear = hear
        return self

    def fail(self, text: str) -> None:
        """Report an error by which the client library cannot go on."""
        assert self.hear is not None
        self.hear(Heard("_FATAL", text), True)

    def produce(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, delivered: Delivered
    ) -> None:
        if self.broken:
            raise BrokerError("Local: Fatal error")
        if len(self.open) >= self.room:
            raise QueueFullError
        if len(value) > self.largest:
            raise UnsendableError(TOO_LARGE)
        text = {name: word.decode() for name, word in headers if isinstance(word, bytes)}
        record = Produced(topic, partition, key.decode(), json.loads(value), text, delivered, value)
        VALIDATORS[text["schema"]].validate(record.value)
        self.produced.append(record)
        self.open.append(record)
        if self.acknowledges:
            self.answer()

    def answer(self, error: str | None = None, records: int | None = None, number: int = KafkaError.UNKNOWN) -> None:
        """Acknowledge (or refuse) the oldest ``records`` open ones; all if None."""
        count = len(self.open) if records is None else records
        told = None if error is None else Refused(error, number)
        for record in self.open[:count]:
            answer = Refused("purged", PURGED) if self.broken and told is None else told or self.refuses(record)
            self.broken = self.broken or answer is not None
            self._callbacks.append((record, answer))
        del self.open[:count]

    def poll(self) -> None:
        while self._callbacks:
            record, error = self._callbacks.popleft()
            record.delivered(error, Message(record.raw))

    def survey(self, topics: Sequence[str]) -> Survey:
        if self.down:
            raise BrokerError(self.down)
        partition = Partition(leader=1, replicas=1, in_sync=1)
        return Survey(
            topics={name: (partition,) * self.topics[name] for name in topics if name in self.topics},
            brokers={1: "kafka:9092"},
        )

    def limits(self, topics: Sequence[str]) -> Mapping[str, TopicLimits]:
        return self.known

    def denied(self, topics: Sequence[str]) -> frozenset[str]:
        return self.forbidden

    def create(self, topics: Sequence[Topic]) -> None:
        if not self.may_create:
            raise TopicCreationError("topic ticklast can't be created: not authorized", denied=True)
        self.created += [topic.name for topic in topics]
        self.topics.update({topic.name: topic.partitions for topic in topics})

    def tails(self, ticks: Topic, books: Topic, questions: Collection[Question]) -> Mapping[bytes, Tail]:
        self.questions.append([(question.key.decode(), question.anywhere) for question in questions])
        if self.unreadable:
            raise BrokerError(self.unreadable)
        return {question.key: self.tail for question in questions}

    def abandon(self) -> None:
        self.abandoned += 1
        self.answer("purged", number=PURGED)

    @property
    def searches(self) -> int:
        return len(self.questions)

    def ticks(self) -> list[dict[str, Any]]:
        return [record.value for record in self.produced if record.topic == "ticklast"]

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """Return all events but probes, or those of one kind."""
        found = [record.value for record in self.produced if record.topic == "feed-events"]
        return [event for event in found if (event["kind"] == kind if kind else event["kind"] != "alive")]
