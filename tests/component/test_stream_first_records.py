"""Partitions whose leader is just coming up: the first records of a topic are acknowledged only if they are there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from component.test_stream_kafka import read_all
from ibfeed_api.feed import Kafka, Topic
from ibfeed_worker.publish import NOBODY, connect
from ibfeed_worker.publish.admin import NoMetadataError
from ibfeed_worker.publish.broker import Broker as Edge
from support.broker import Broker

RECORDS = 60
TRIES = 4  # on each broker: only one that has just started is slow enough
BROKERS = 5
LIMIT_S = 60.0  # for the records of one topic


@pytest.fixture
async def cold(tmp_path: Path) -> list[Broker]:
    """Several that start side by side, so that they slow each other down."""
    brokers = []
    for number in range(BROKERS):
        (home := tmp_path / str(number)).mkdir()
        brokers.append(Broker(home))
    return brokers


def is_known(producer: Edge, topic: Topic) -> bool:
    """False also if a broker that has just started is too slow to tell."""
    with contextlib.suppress(NoMetadataError):
        return topic.name in producer.survey([topic.name]).topics
    return False


def acknowledged(servers: str, topic: Topic) -> list[int]:
    """Make the topic and write to it at once; which records Kafka is said to have."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
    producer = connect(Kafka(bootstrap_servers=servers), NOBODY, "first", lambda *_: None, 1_000_000)
    is_known(producer, topic)
    admin.create_topics([NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=1)])
    deadline = time.monotonic() + LIMIT_S  # a thread that goes on when the test is over keeps its process from ending
    while not is_known(producer, topic):
        assert time.monotonic() < deadline, f"{topic.name} is not there"
    there: list[int] = []
    answered = 0

    def told(number: int) -> object:
        def tell(error: object, _: object) -> None:
            nonlocal answered
            answered += 1
            if error is None:
                there.append(number)

        return tell

    for number in range(RECORDS):
        value = b'{"number": %d}' % number
        producer.produce(topic.name, 0, b"7", value, [("number", b"%d" % number)], told(number))  # type: ignore[arg-type]
        time.sleep(0.001)  # else all of them go in one request
        producer.poll()
    while answered < RECORDS:
        assert time.monotonic() < deadline, f"{topic.name}: {answered} of {RECORDS} records were answered for"
        producer.poll()
    return there


async def test_what_a_cold_kafka_acknowledges_is_there(cold: list[Broker]) -> None:
    async def tried(broker: Broker) -> None:
        await broker.start()
        for number in range(TRIES):
            topic = Topic(name=f"first-{number}", partitions=4)
            there = await asyncio.to_thread(acknowledged, broker.servers, topic)
            found = await asyncio.to_thread(read_all, topic, broker.servers)
            assert [record.value["number"] for record in found] == there == list(range(RECORDS))

    with contextlib.ExitStack() as stack:
        for broker in cold:
            stack.callback(broker.kill)
        await asyncio.gather(*map(tried, cold))
