"""The soak's topics on Kafka: made, read whole, deleted. Blocking, in real time."""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from datapath.soak_verdict import Told
from ibfeed_api.feed import Topics
from ibfeed_api.records import HEADER_EPOCH, HEADER_WORKER, FeedEvent
from ownership.verdict import Gap, Written
from support.kafka_message import headers_of

_LIMIT_S: Final = 60.0
_BATCH: Final = 5000
_WAIT_S: Final = 0.2
_COUNT: Final = re.compile(r"^\d+ updates lost: ")


class _Place(msgspec.Struct):
    event_time: int
    seq: int


@contextlib.contextmanager
def deleted_afterwards(servers: str, wanted: Topics) -> Iterator[None]:
    """The workers make them; they go in the end."""
    try:
        yield
    finally:
        admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
        names = [wanted.ticklast.name, wanted.l2_data.name, wanted.feed_events.name]
        for deleted in admin.delete_topics(names).values():
            error = deleted.exception(_LIMIT_S)
            if error is not None and error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise error


def read(servers: str, wanted: Topics) -> tuple[dict[int, list[Written]], list[Told]]:
    """All ticks by contract in the order of their offsets, and all gaps that were told."""
    written: dict[int, list[Written]] = defaultdict(list)
    for message in _all(servers, wanted.ticklast.name):
        record = _written(message)
        written[record.conid].append(record)
    told = []
    for message in _all(servers, wanted.feed_events.name):
        event = msgspec.json.decode(message.value() or b"", type=FeedEvent)
        if event.kind == "gap" and event.conid is not None:
            told.append(Told(Gap(event.conid, event.from_ms, event.to_ms), _COUNT.sub("", event.detail)))
    return dict(written), told


def _written(message: Message) -> Written:
    place = msgspec.json.decode(message.value() or b"", type=_Place)
    headers = headers_of(message)
    return Written(
        conid=int(message.key() or b"0"),
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        at_ms=message.timestamp()[1],
        epoch=int(headers[HEADER_EPOCH] or "0"),
        worker=headers[HEADER_WORKER],
        event_time=place.event_time,
        seq=place.seq,
    )


def _all(servers: str, topic: str) -> Iterator[Message]:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"soak-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 2,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=_LIMIT_S).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        left = set(partitions)
        deadline = time.monotonic() + _LIMIT_S
        while left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Kafka did not give all of {topic} within {_LIMIT_S:g} s")
            for message in consumer.consume(_BATCH, timeout=_WAIT_S):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
    finally:
        consumer.close()
