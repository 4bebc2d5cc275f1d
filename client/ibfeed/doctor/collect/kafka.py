"""Facts about Kafka, as this machine sees it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from ibfeed.cluster.kafka_access import KafkaAccess
from ibfeed.doctor.collect.together import each
from ibfeed.doctor.facts import BrokerFacts, KafkaFacts, RecordFacts, TopicFacts
from ibfeed.kafka import LATEST, offsets_at
from ibfeed.offsets import AWAY

_ANSWER_S: Final = 4.0
_CONNECT_S: Final = 2.0
_RECORDS_S: Final = 1.5
_MOST_PARTITIONS: Final = 24  # whose newest record is read
_MISSING: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})
_APPEND_TIME: Final = 2  # confluent_kafka's TIMESTAMP_LOG_APPEND_TIME


class _Times(msgspec.Struct):
    event_time: int
    received_ns: int


def collect_kafka(access: KafkaAccess) -> KafkaFacts:
    """Ask Kafka for its brokers, the feed's topics, and the newest ticks. It writes nothing, and joins no group."""
    complaints: list[str] = []
    consumer = Consumer(
        {
            **access.properties,
            "bootstrap.servers": access.servers,
            "group.id": "ibfeed-doctor",  # librdkafka wants one; nothing is committed to it
            "enable.auto.commit": False,
            "allow.auto.create.topics": False,
            "socket.connection.setup.timeout.ms": 3000,
            "error_cb": lambda error: complaints.append(error.str()),
            "log_level": 0,
        }
    )
    try:
        return _asked(consumer, access)
    except KafkaException as error:
        consumer.poll(0.1)  # it brings the complaints
        cause = error.args[0]
        said = f"{cause.str()} ({complaints[-1]})" if complaints else cause.str()
        refused = cause.code() not in AWAY or any("uthentic" in one for one in complaints)
        return KafkaFacts(refused=said) if refused else KafkaFacts(trouble=said)
    finally:
        consumer.close()


def _asked(consumer: Consumer, access: KafkaAccess) -> KafkaFacts:
    names = [*access.topics.streams, *([access.topics.contracts] if access.topics.contracts else [])]
    metadata = [consumer.list_topics(name, timeout=_ANSWER_S) for name in names]
    found = {name: told.topics[name] for name, told in zip(names, metadata, strict=True)}
    refused = [
        f"topic {name}: {topic.error.str()}"
        for name, topic in found.items()
        if topic.error is not None and topic.error.code() not in _MISSING
    ]
    there = [name for name, topic in found.items() if topic.error is None]
    brokers = tuple(each(metadata[0].brokers.values(), lambda broker: _broker(broker.host, broker.port)))
    reachable = not any(broker.trouble for broker in brokers)
    configs = _configs(access, there) if reachable else {}
    topics: dict[str, TopicFacts | None] = {
        name: _topic(found[name].partitions.values(), configs.get(name, {})) if name in there else None
        for name in names
        if name in there or found[name].error.code() in _MISSING
    }
    ticks = access.topics.ticks
    records = _newest(consumer, ticks, topics[ticks]) if reachable and ticks is not None and ticks in there else ()
    return KafkaFacts(refused="; ".join(refused), brokers=brokers, topics=topics, records=records)


def _broker(host: str, port: int) -> BrokerFacts:
    address = f"{host}:{port}"
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return BrokerFacts(address, resolves=False, trouble=str(error.strerror or error))
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError as error:
        return BrokerFacts(address, trouble=str(error.strerror or error))
    return BrokerFacts(address)


def _topic(partitions: Iterable[Any], config: dict[str, str]) -> TopicFacts:
    every = list(partitions)
    least = config.get("min.insync.replicas")
    policy = config.get("cleanup.policy")
    return TopicFacts(
        partitions=len(every),
        replicas=min(len(one.replicas) for one in every),
        in_sync=min(len(one.isrs) for one in every),
        min_in_sync=None if least is None else int(least),
        compacted=None if policy is None else "compact" in policy,
    )


def _configs(access: KafkaAccess, topics: list[str]) -> dict[str, dict[str, str]]:
    """Return the settings of topics. Without the right to DescribeConfigs there are none."""
    if not topics:
        return {}
    admin = AdminClient({**access.properties, "bootstrap.servers": access.servers, "log_level": 0})
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topics], request_timeout=3)
    found = {}
    for resource, future in asked.items():
        try:
            found[resource.name] = {name: entry.value for name, entry in future.result(4).items()}
        except (KafkaException, TimeoutError):
            continue
    return found


def _newest(consumer: Consumer, topic: str, facts: TopicFacts | None) -> tuple[RecordFacts, ...]:
    """Return the times of the newest ticks, as far as they are JSON."""
    partitions = min(_MOST_PARTITIONS, 0 if facts is None else facts.partitions)
    ends = offsets_at(consumer, [(topic, number) for number in range(partitions)], LATEST)
    wanted = [TopicPartition(*place, offset - 1) for place, offset in ends.items() if offset > 0]
    if not wanted:
        return ()
    consumer.assign(wanted)
    found: dict[int, RecordFacts] = {}
    deadline = time.monotonic() + _RECORDS_S
    while len(found) < len(wanted) and time.monotonic() < deadline:
        for message in consumer.consume(len(wanted), timeout=0.2):
            if message.error() is None and (times := _times_of(message)) is not None:
                found[message.partition() or 0] = times
    return tuple(found.values())


def _times_of(message: Any) -> RecordFacts | None:
    try:
        times = msgspec.json.decode(message.value(), type=_Times)
    except (msgspec.DecodeError, TypeError):
        return None
    kind, at = message.timestamp()
    return RecordFacts(times.event_time, times.received_ns // 1_000_000, at if kind == _APPEND_TIME else None)
