"""A reader of the topic ``contracts``, which is a table with a record for each conid."""

from __future__ import annotations

import time
import uuid
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition

from support.kafka_message import key_of
from support.stream import KAFKA


def contracts_table(topic: str = "contracts", servers: str = KAFKA) -> dict[int, dict[str, Any]]:
    """Return the latest record of each contract. Fails if the topic is not there, or cannot be read within 20 s."""
    history: dict[int, dict[str, Any]] = {}
    for conid, value in contracts_history(topic, servers):
        if value is None:
            history.pop(conid, None)
        else:
            history[conid] = value
    return history


def contracts_history(topic: str = "contracts", servers: str = KAFKA) -> list[tuple[int, dict[str, Any] | None]]:
    """Return every record that Kafka still has, in each partition's order. None is a tombstone."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"test-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 2,
        }
    )
    found: list[tuple[int, dict[str, Any] | None]] = []
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        assert partitions, f"topic {topic} is not there"
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        reading, deadline = set(partitions), time.monotonic() + 20
        while reading:
            assert time.monotonic() < deadline, f"topic {topic} was not given in time"
            for message in consumer.consume(500, timeout=0.1):
                error = message.error()
                if error is None:
                    value, conid = message.value(), int(key_of(message))
                    assert conid % len(partitions) == message.partition()
                    found.append((conid, None if value is None else msgspec.json.decode(value)))
                elif error.code() == KafkaError._PARTITION_EOF:
                    reading.discard(message.partition())
        return found
    finally:
        consumer.close()
