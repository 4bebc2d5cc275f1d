"""A compacted topic as a table: read whole, written row by row. All calls block.

Each call has a connection of its own and ends it. The tick path's producer is not used: a record that Kafka refuses
would disturb its numbering.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from ibfeed_api.feed import Topic

_CALL_S: Final = 5.0
_READ_S: Final = 20.0
_WRITE_S: Final = 15.0
_BATCH: Final = 1000
_WAIT_S: Final = 0.1
_COMPACT: Final = "compact"

Row = tuple[int, bytes, bytes | None]  # partition, key, value; None removes the key's row
Headers = list[tuple[str, str | bytes | None]]


RIGHTS: Final = "the workers need Describe, Read and Write on it"


class TableError(Exception):
    """The table can't be used. The text says why and what to do."""


def provide(settings: Mapping[str, Any], topic: Topic, *, create: bool) -> None:
    """Ensure that the topic is there as the feed says, and compacted. Raises TableError or KafkaException."""
    admin = AdminClient(dict(settings), logger=logging.getLogger("librdkafka"))
    found = admin.list_topics(timeout=_CALL_S).topics.get(topic.name)
    if found is not None and found.error is not None:
        raise KafkaException(found.error)
    if found is None:
        if not create:
            raise TableError(
                "Kafka has no such topic, or does not show it, and kafka.createTopics is false: create it with"
                f" cleanup.policy=compact, or allow it; {RIGHTS}"
            )
        if not _create(admin, topic):
            _find_out_why_it_is_not_shown(admin, topic)
        return
    if len(found.partitions) != topic.partitions:
        raise TableError(
            f"it has {len(found.partitions)} partitions, the feed says {topic.partitions}: change"
            " kafka.topics.contracts in the IbFeed, or the topic"
        )
    policy = _policy(admin, topic)
    if policy is not None and _COMPACT not in policy:
        raise TableError(
            f"its cleanup.policy is {policy}: set it to compact, or let kafka.topics.contracts name a topic that is for"
            " this alone"
        )


def read(settings: Mapping[str, Any], topic: Topic) -> dict[bytes, bytes]:
    """Return the latest value of each key. Raises TableError or KafkaException."""
    deadline = time.monotonic() + _READ_S
    consumer = Consumer(
        {
            **settings,
            "group.id": settings["client.id"],  # required, but no group is joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
        },
        logger=logging.getLogger("librdkafka"),
    )
    rows: dict[bytes, bytes] = {}
    try:
        consumer.assign([TopicPartition(topic.name, number, 0) for number in range(topic.partitions)])
        reading = set(range(topic.partitions))
        while reading:
            if time.monotonic() > deadline:
                raise TableError(f"Kafka did not give all of it within {_READ_S:g} s")
            for message in consumer.consume(_BATCH, timeout=_WAIT_S):
                error, partition, key = message.error(), message.partition(), message.key()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    reading.discard(partition if partition is not None else -1)
                elif error is not None:
                    raise KafkaException(error)
                elif key is not None:
                    value = message.value()
                    if value is None:
                        rows.pop(key, None)
                    else:
                        rows[key] = value
    finally:
        consumer.close()
    return rows


def write(settings: Mapping[str, Any], topic: Topic, rows: Sequence[Row], headers: Headers) -> None:
    """Write rows and wait until Kafka has acknowledged all. Raises TableError or KafkaException."""
    refused: list[KafkaError] = []

    def told(error: KafkaError | None, _: object) -> None:
        if error is not None:
            refused.append(error)

    limit_ms = int(_WRITE_S * 1000)
    producer = Producer(
        {**settings, "acks": "all", "message.timeout.ms": limit_ms, "linger.ms": 5},
        logger=logging.getLogger("librdkafka"),
    )
    for partition, key, value in rows:
        producer.produce(topic.name, value=value, key=key, partition=partition, on_delivery=told, headers=list(headers))
        producer.poll(0)
    left = producer.flush(_WRITE_S + 1.0)
    if refused:
        raise KafkaException(refused[0])
    if left:
        raise TableError(f"Kafka did not acknowledge {left} of {len(rows)} records")


def _create(admin: AdminClient, topic: Topic) -> bool:
    """Create the topic; False if it is there already."""
    wanted = NewTopic(
        topic.name,
        num_partitions=topic.partitions,
        replication_factor=topic.replication_factor,
        config={"cleanup.policy": _COMPACT},
    )
    try:
        admin.create_topics([wanted], request_timeout=_CALL_S)[topic.name].result(_CALL_S)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise TableError(
            f"it can't be created: {error.args[0].str()}; create it with cleanup.policy=compact; {RIGHTS}"
        ) from None
    except TimeoutError:
        raise TableError("it can't be created: no answer") from None
    return True


def _find_out_why_it_is_not_shown(admin: AdminClient, topic: Topic) -> None:
    """Ask for the topic by its name, and raise KafkaException if Kafka refuses.

    A list of all topics leaves out those that we may not see. Another worker may have created it this moment.
    """
    found = admin.list_topics(topic.name, timeout=_CALL_S).topics[topic.name]
    if found.error is not None:
        raise KafkaException(found.error)


def _policy(admin: AdminClient, topic: Topic) -> str | None:
    """Return how Kafka cleans the topic up; None if we may not ask."""
    resource = ConfigResource(ResourceType.TOPIC, topic.name)
    try:
        found = admin.describe_configs([resource], request_timeout=_CALL_S)[resource].result(_CALL_S)
    except (KafkaException, TimeoutError):
        return None
    entry = found.get("cleanup.policy")
    return str(entry.value) if entry is not None else None
