"""The package ``ibfeed`` while its Kafka is away: a short time is bridged, a long one is said."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import ibfeed
from ibfeed import kafka
from ibfeed_api.records import TOPIC_TICKS
from support.broker import Broker
from support.reader_records import tick

TOPICS = ibfeed.Topics(books=None, events=None, contracts=None)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = Broker(tmp_path)
    try:
        await broker.start()
        admin = AdminClient({"bootstrap.servers": broker.servers, "log_level": 2})
        admin.create_topics([NewTopic(TOPIC_TICKS, 1)])[TOPIC_TICKS].result(60)
        yield broker
    finally:
        broker.kill()


def write(broker: Broker, count: int) -> None:
    message, producer = tick(count), Producer({"bootstrap.servers": broker.servers, "log_level": 2})
    producer.produce(TOPIC_TICKS, value=message.value(), key=message.key(), headers=list(message.headers()))
    assert producer.flush(60) == 0


async def test_short_outage_is_bridged_and_a_long_one_said(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "AWAY_S", 4.0)
    monkeypatch.setattr(kafka, "CONNECT_S", 5.0)
    async with ibfeed.aread(broker.servers, topics=TOPICS, group=f"test-{uuid.uuid4()}") as reader:
        events = aiter(reader)
        write(broker, 1)
        first = await anext(events)
        broker.kill()
        await broker.start()
        write(broker, 2)
        second = await anext(events)
        assert [event.size for event in (first, second) if isinstance(event, ibfeed.Tick)] == [1.0, 2.0]
        broker.kill()
        began = time.monotonic()
        with pytest.raises(ibfeed.KafkaUnreachableError, match=f"{broker.servers} .*check the address"):
            await anext(events)
        assert 3.0 < time.monotonic() - began < 15.0
