"""Batches and records above a topic's ``max.message.bytes``, on a real Kafka."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, AdminClient
from confluent_kafka.cimpl import NewTopic

from component.scripted_gateway import topics
from component.test_stream_kafka_faults import told
from ibfeed_api.feed import Kafka
from support.broker import Broker, Listener
from support.kafka_users import AUTHORIZER, OWN, Secrets, allow

LIMIT = 20_000  # some fifty ticks
PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_feed="feed-secret";'


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    guarded = {"sasl.enabled.mechanisms": "PLAIN", "plain.sasl.jaas.config": PLAIN}
    broker = Broker(tmp_path, listeners={"GUARDED": Listener("SASL_PLAINTEXT", settings=guarded)}, settings=AUTHORIZER)
    yield broker
    broker.kill()


def make(broker: Broker, kafka: Kafka) -> None:
    """The feed's topics, which take little at a time."""
    admin = AdminClient({"bootstrap.servers": broker.servers, "log_level": 2})
    wanted = [
        NewTopic(topic.name, topic.partitions, topic.replication_factor, config={"max.message.bytes": str(LIMIT)})
        for topic in kafka.topics.every
    ]
    for made in admin.create_topics(wanted).values():
        made.result(15)


@pytest.mark.parametrize("known", [True, False], ids=["known", "not told"])
async def test_ticks_that_piled_up_are_not_lost_to_the_size_of_a_batch(broker: Broker, known: bool) -> None:
    await broker.start()
    # Without DescribeConfigs nobody tells what a topic takes: only refusals do.
    rights = (AclOperation.WRITE, AclOperation.DESCRIBE, AclOperation.READ)
    allow(broker.servers, "feed", {"*": (*rights, AclOperation.DESCRIBE_CONFIGS) if known else rights})
    with topics(broker.servers) as kafka:
        make(broker, kafka)
        through = kafka.__class__(
            bootstrap_servers=broker.at["GUARDED"],
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            secret_ref=OWN,
            topics=kafka.topics,
        )
        secrets = Secrets({OWN.name: {"username": b"feed", "password": b"feed-secret"}})
        async with told(broker, through, secrets) as story:
            before = len(story.sent)
            broker.signal(signal.SIGSTOP)
            await asyncio.sleep(6)
            broker.signal(signal.SIGCONT)
            assert len(story.sent) - before > 300  # many times what one batch may hold
            await story.flows()
            await story.worker.reachable()
            records, gaps = await story.end()
            again = story.metric("ibfeed_kafka_records_again_total")
    assert gaps == []
    assert [record.value["event_time"] for record in records] == story.sent[: len(records)]
    assert (again == 0) is known
