"""Kafka's edge without Kafka: keeps what is produced, if it is as the schemas say, and answers when told to."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from ibfeed_api.feed import Kafka, Topic
from ibfeed_api.records import SCHEMA_DEPTH, SCHEMA_EVENT, SCHEMA_TICK
from ibfeed_worker.publish import BrokerError, Full, Tail
from ibfeed_worker.publish.broker import Delivered, Headers, Trouble
from ibfeed_worker.publish.tail import Question

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"
VALIDATORS = {
    name: Draft202012Validator(json.loads((SCHEMAS / f"{name.replace('/', '-')}.json").read_text()))
    for name in (SCHEMA_TICK, SCHEMA_DEPTH, SCHEMA_EVENT)
}


@dataclass
class Produced:
    topic: str
    partition: int
    key: str
    value: dict[str, Any]
    headers: dict[str, str]
    delivered: Delivered


@dataclass
class FakeBroker:
    """``acknowledges``: at once, or only by ``answer``. ``room``: records that the queue takes before it is full."""

    acknowledges: bool = True
    room: int = 10**6
    topics: dict[str, int] = field(default_factory=lambda: {"ticklast": 12, "l2-data": 12, "feed-events": 1})
    down: str = ""
    may_create: bool = True
    produced: list[Produced] = field(default_factory=list)
    open: list[Produced] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    connections: int = 0
    questions: list[list[tuple[str, bool]]] = field(default_factory=list)  # of each search: key, and whether anywhere
    tail: Tail = field(default_factory=lambda: Tail(None))  # how far Kafka has whatever contract is asked for
    unreadable: str = ""
    trouble: Trouble | None = None
    _callbacks: deque[tuple[Delivered, Any]] = field(default_factory=deque)

    def connect(self, kafka: Kafka, secret: Mapping[str, bytes], client: str, trouble: Trouble) -> FakeBroker:
        self.connections += 1
        self.trouble = trouble
        return self

    def produce(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, delivered: Delivered
    ) -> None:
        if len(self.open) >= self.room:
            raise Full
        text = {name: word.decode() for name, word in headers if isinstance(word, bytes)}
        record = Produced(topic, partition, key.decode(), json.loads(value), text, delivered)
        VALIDATORS[text["schema"]].validate(record.value)
        self.produced.append(record)
        self.open.append(record)
        if self.acknowledges:
            self.answer()

    def answer(self, error: str | None = None, records: int | None = None) -> None:
        """Acknowledge (or refuse) the oldest ``records`` open ones; all if None."""
        count = len(self.open) if records is None else records
        for record in self.open[:count]:
            self._callbacks.append((record.delivered, error))
        del self.open[:count]

    def poll(self) -> None:
        while self._callbacks:
            delivered, error = self._callbacks.popleft()
            delivered(error, None)

    def partitions(self) -> Mapping[str, int]:
        if self.down:
            raise BrokerError(self.down)
        return dict(self.topics)

    def create(self, topics: Sequence[Topic]) -> None:
        if not self.may_create:
            raise BrokerError("topic ticklast can't be created: not authorized")
        self.created += [topic.name for topic in topics]
        self.topics.update({topic.name: topic.partitions for topic in topics})

    def tails(self, ticks: Topic, books: Topic, questions: Collection[Question]) -> Mapping[bytes, Tail]:
        self.questions.append([(question.key.decode(), question.anywhere) for question in questions])
        if self.unreadable:
            raise BrokerError(self.unreadable)
        return {question.key: self.tail for question in questions}

    def abandon(self) -> None:
        self.answer("purged")

    @property
    def searches(self) -> int:
        return len(self.questions)

    def ticks(self) -> list[dict[str, Any]]:
        return [record.value for record in self.produced if record.topic == "ticklast"]

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        found = [record.value for record in self.produced if record.topic == "feed-events"]
        return [event for event in found if event["kind"] == kind] if kind else found
