"""A feed's topics on the tests' Kafka, and ClickHouse that reads them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import ibfeed
from ibfeed.clickhouse import Layout, Server, roles
from ibfeed.clickhouse.group import reach
from ibfeed.clickhouse.layout import MOST_DAYS
from ibfeed.clickhouse.migration import Step
from ibfeed.clickhouse.server import groups
from ibfeed_api.records import (
    SCHEMA_CONTRACT,
    SCHEMA_DEPTH,
    SCHEMA_EVENT,
    SCHEMA_TICK,
    TOPIC_CONTRACTS,
    TOPIC_DEPTH,
    TOPIC_EVENTS,
    TOPIC_TICKS,
)
from ibfeed_platform.categories.rows import Row
from ibfeed_platform.categories.source import MISSING, Category
from support.clickhouse import ClickHouse
from support.reader_records import FakeMessage, headers
from support.stream import KAFKA

Place = tuple[int, int]  # partition, offset
Headers = list[tuple[str, str | bytes | None]]

SCHEMAS: Final = {
    TOPIC_TICKS: SCHEMA_TICK,
    TOPIC_DEPTH: SCHEMA_DEPTH,
    TOPIC_EVENTS: SCHEMA_EVENT,
    TOPIC_CONTRACTS: SCHEMA_CONTRACT,
}
_PARTITIONS: Final = {TOPIC_TICKS: 3, TOPIC_DEPTH: 3, TOPIC_EVENTS: 1, TOPIC_CONTRACTS: 1}


@dataclass(frozen=True)
class Written:
    """A record that Kafka has."""

    place: Place
    value: bytes | None


class Store:
    """Topics of our own with random names, an engine, and a database that is filled from them."""

    def __init__(self, home: Path, *, more: str = "", registry: str = "") -> None:
        mark = uuid.uuid4().hex[:8]
        self.names = {topic: f"test-clickhouse-{topic}-{mark}" for topic in _PARTITIONS}
        self.topics = ibfeed.Topics(*(self.names[topic] for topic in _PARTITIONS))
        self.layout = Layout(
            KAFKA,
            f"db_{mark}",
            self.topics,
            group=f"test-clickhouse-{mark}",
            ttl_days=MOST_DAYS,
            registry=registry,
        )
        self.encode: Callable[[str, bytes | None], bytes | None] = lambda _, value: value
        text = roles.users_xml(self.layout)
        inner = text[text.index("<roles>") : text.index("</clickhouse>")]
        users = {"team": f"{self.layout.database}_ticks_reader"}
        self.engine = ClickHouse(home, roles=inner, users=users, more=more)
        self.server = Server(self.engine.access())
        self.admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
        self._producer = Producer({"bootstrap.servers": KAFKA, "log_level": 2, "linger.ms": 5})

    def start(self) -> None:
        any_time = {"message.timestamp.after.max.ms": str(2**63 - 1)}  # so that tests may write in the far future
        wanted = [NewTopic(self.names[topic], count, config=any_time) for topic, count in _PARTITIONS.items()]
        for future in self.admin.create_topics(wanted, operation_timeout=10).values():
            future.result(15)
        self.engine.start()
        self.server.apply(self.layout)

    def close(self) -> None:
        """End the engine and delete the topics. Kafka itself removes groups that have neither members nor offsets."""
        self.server.close()
        self.engine.kill()
        for future in self.admin.delete_topics(list(self.names.values()), operation_timeout=10).values():
            future.exception(15)

    def read_again(self) -> None:
        """Read all from the beginning again, as after a reset of the groups."""
        self.layout = replace(self.layout, group=f"{self.layout.group}-again")
        self.server.apply(self.layout)

    def write(self, *messages: FakeMessage, at_ms: int = 0, wait: bool = True) -> list[Written]:
        """Write records; return them with their places, in their order. A time of 0 is now."""
        found: dict[int, Place] = {}

        def note(number: int) -> Any:
            def told(error: KafkaError | None, message: Message) -> None:
                assert error is None, error
                found[number] = (message.partition() or 0, message.offset() or 0)

            return told

        for number, message in enumerate(messages):
            topic = message.topic()
            key = message.key()
            self._producer.produce(
                self.names[topic],
                value=self.encode(self.names[topic], message.value()),
                key=key,
                partition=int(key) % _PARTITIONS[topic] if key.isdigit() else 0,
                timestamp=at_ms,
                headers=message.headers(),
                on_delivery=note(number),
            )
            self._producer.poll(0)
        if not wait:
            return []
        assert self._producer.flush(30) == 0
        return [Written(found[number], message.value()) for number, message in enumerate(messages)]

    def settle(self, within: float = 40.0) -> None:
        """Wait until ClickHouse has written all that Kafka has."""
        assert self._producer.flush(30) == 0
        deadline = time.monotonic() + within
        while sum(one.lag for one in reach(KAFKA, groups(self.layout), {}).values()):
            assert time.monotonic() < deadline, self.server.observe(self.layout, {})
            time.sleep(0.05)

    def until(self, query: str, within: float = 40.0) -> None:
        """Wait until the only value of a query is true."""
        deadline = time.monotonic() + within
        while not self.one(query):
            assert time.monotonic() < deadline, query
            time.sleep(0.02)

    def run(self, statement: str) -> None:
        """Run a statement. ``{db}`` stands for the database."""
        self.server.run(Step(statement.replace("{db}", f"`{self.layout.database}`")))

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of a query. ``{db}`` stands for the database."""
        return self.server.rows(query.replace("{db}", f"`{self.layout.database}`"))

    def one(self, query: str) -> Any:
        """Return the only value of a query."""
        ((value,),) = (row.values() for row in self.rows(query))
        return value

    def category_rows(self, category: Category, places: Iterable[Place]) -> dict[Place, list[Row]]:
        """Return the rows of records as a user reads them, with None for each missing value."""
        names = [field.name for field in category.fields]
        columns = [f"{name}{end}" for name in names for end in ("", "_dtype", "_unit", "_state")]
        wanted = ", ".join(str(place) for place in places)
        order = ", row_number" if "row_number" in names else ""
        found: dict[Place, list[Row]] = {}
        named = ", ".join(f"`{one}`" for one in columns)
        for row in self.rows(
            f"SELECT kafka_partition, kafka_offset, {named} FROM {{db}}.{category.category}"
            f" WHERE (kafka_partition, kafka_offset) IN ({wanted}) ORDER BY kafka_partition, kafka_offset{order}"
        ):
            place = (row.pop("kafka_partition"), row.pop("kafka_offset"))
            found.setdefault(place, []).append({name: _told(row, name) for name in columns})
        return found


def _told(row: Mapping[str, Any], name: str) -> Any:
    state = row.get(f"{name}_state")
    if state is not None and MISSING in state.split("+"):
        return None
    return list(row[name]) if isinstance(row[name], Sequence) and not isinstance(row[name], str) else row[name]


def message(topic: str, value: bytes | None, *, conid: int, epoch: int = 1, worker: str = "energy-0") -> FakeMessage:
    """A record as a worker writes it. Only the contracts have no epoch."""
    told = headers(SCHEMAS[topic], worker, None if topic == TOPIC_CONTRACTS else epoch)
    return FakeMessage(topic, str(conid).encode(), value, told)
