"""Kafka in trouble while ticks come: what is missing lies in a gap record, and delivery resumes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import AclOperation, AdminClient, NewPartitions

from component.scripted_gateway import PARTITIONS, Worker, entry, streaming, topics, working
from component.test_book_kafka import metric
from component.test_stream_kafka import read_all
from component.test_stream_outage import CONID, ticking
from ibfeed_api.feed import Kafka
from ibfeed_worker.publish import broker as edge
from support.broker import Broker, Listener
from support.kafka_users import AUTHORIZER, OWN, Secrets, allow, forbid
from support.stream import Record

QUEUE = 500  # records: so that some seconds fill it
USER = {"username": b"feed", "password": b"feed-secret"}


@pytest.fixture
def small_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "QUEUE_RECORDS", QUEUE)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.kill()


class Story:
    """One contract that ticks every 10 ms, and what a reader finds of it."""

    def __init__(self, worker: Worker, kafka: Kafka, servers: str, sent: list[int]) -> None:
        self.worker = worker
        self._kafka = kafka
        self._servers = servers
        self.sent = sent

    @property
    def acknowledged(self) -> int:
        return self.worker.streamer.reports()[0].event_time or 0

    def metric(self, name: str) -> float:
        """A sample without labels, of what the way to Kafka has been through."""
        families = self.worker.streamer.kafka_collector.collect()
        return next(sample.value for family in families for sample in family.samples if sample.name == name)

    async def flows(self, ticks: int = 50, within: float = 60) -> None:
        """Until that many updates that were not sent yet are acknowledged."""
        goal = self.sent[-1] + 500 * ticks if self.sent else 0
        await self.worker.until(
            lambda: self.sent and self.acknowledged >= max(goal, self.sent[0] + 500 * ticks), within
        )

    async def end(self) -> tuple[list[Record], list[tuple[int, int]]]:
        """Records and gaps; no update is missing that lies in no gap, none is there twice, the order holds."""
        await self.worker.streamer.release()
        last = self.acknowledged
        records = read_all(self._kafka.topics.ticklast, self._servers)
        events = [event.value for event in read_all(self._kafka.topics.feed_events, self._servers)]
        gaps = [(event["from_ms"] or 0, event["to_ms"]) for event in events if event["kind"] == "gap"]
        times = [record.value["event_time"] for record in records]
        sequence = [record.value["seq"] for record in records]
        assert times == sorted(set(times))
        assert sequence == sorted(set(sequence))
        there = set(times)
        missing = [time for time in self.sent if time <= last and time not in there]
        assert [time for time in missing if not any(low < time < high for low, high in gaps)] == []
        return records, gaps


@contextlib.asynccontextmanager
async def told(broker: Broker, kafka: Kafka, secrets: Secrets | None = None) -> AsyncIterator[Story]:
    begin = 1_790_000_000_000
    sent: list[int] = []
    read = (secrets or Secrets({})).of(kafka).read
    async with ticking(begin, sent) as (_, link), working(kafka, read_secrets=read) as worker:
        await worker.reachable()
        worker.streamer.obey((entry(CONID, 0),))
        async with streaming(worker, link) as life:
            story = Story(worker, kafka, broker.servers, sent)
            await story.flows()
            yield story
            assert not life.done()


async def test_a_slow_kafka_is_kept_up_with_or_conflated_for(broker: Broker, small_queue: None) -> None:
    await broker.start()
    with topics(broker.servers) as kafka:
        async with told(broker, kafka) as story:
            for _ in range(6):  # an eighth of the time it works
                broker.signal(signal.SIGSTOP)
                await asyncio.sleep(1.75)
                broker.signal(signal.SIGCONT)
                await asyncio.sleep(0.25)
                assert metric(story.worker, "ibfeed_kafka_backlog") <= QUEUE + 2
            await story.flows()
            await story.end()


async def test_two_minutes_without_kafka_conflate_in_bounded_memory_and_leave_one_gap(
    broker: Broker, small_queue: None
) -> None:
    await broker.start()
    with topics(broker.servers) as kafka:
        async with told(broker, kafka) as story:
            broker.signal(signal.SIGSTOP)
            for _ in range(24):
                await asyncio.sleep(5)
                assert metric(story.worker, "ibfeed_kafka_backlog") <= QUEUE + 20  # and what is said of the outage
            lost = metric(story.worker, "ibfeed_ticks_conflated_total")
            assert lost > 1000
            broker.signal(signal.SIGCONT)
            await story.flows(within=90)
            records, gaps = await story.end()
    assert len(gaps) == 1
    sequence = [record.value["seq"] for record in records]
    holes = sum(later - earlier - 1 for earlier, later in pairwise(sequence))
    assert holes >= lost  # what gave way shows in the numbers, too


async def test_a_deleted_topic_is_made_anew(broker: Broker) -> None:
    await broker.start()
    with topics(broker.servers) as kafka:
        async with told(broker, kafka) as story:
            admin = AdminClient({"bootstrap.servers": broker.servers, "log_level": 2})
            name = kafka.topics.ticklast.name
            admin.delete_topics([name], operation_timeout=10)[name].result(15)
            deleted = story.sent[-1]
            await story.worker.until(lambda: name in admin.list_topics(timeout=5).topics, within=90)
            await story.flows(within=60)
            story.sent[:] = [time for time in story.sent if time > deleted]  # what was there has been deleted
            records, _ = await story.end()
    assert records
    assert all(record.value["event_time"] > deleted for record in records[1:])


async def test_more_partitions_move_no_contract(broker: Broker) -> None:
    await broker.start()
    with topics(broker.servers) as kafka:
        async with told(broker, kafka) as story:
            admin = AdminClient({"bootstrap.servers": broker.servers, "log_level": 2})
            name = kafka.topics.ticklast.name
            admin.create_partitions([NewPartitions(name, PARTITIONS + 3)])[name].result(15)
            await story.flows(ticks=300)
            records, gaps = await story.end()
    assert {record.partition for record in records} == {0}
    assert gaps == []


def guarded(broker: Broker, password: str = "feed-secret") -> None:
    """A second listener that wants a password, and rights that have to be given; the first one may do everything."""
    jaas = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_feed="{password}";'
    settings = {"sasl.enabled.mechanisms": "PLAIN", "plain.sasl.jaas.config": jaas}
    broker.listen("GUARDED", Listener("SASL_PLAINTEXT", settings=settings))
    broker.settings |= AUTHORIZER
    broker.write()


EVERYTHING = {"*": (AclOperation.ALL,)}


def through_the_guard(broker: Broker, kafka: Kafka) -> Kafka:
    return msgspec.structs.replace(
        kafka,
        bootstrap_servers=broker.at["GUARDED"],
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        secret_ref=OWN,
    )


async def test_lost_rights_are_named_and_delivery_resumes_when_they_are_given_back(broker: Broker) -> None:
    guarded(broker)
    await broker.start()
    allow(broker.servers, "feed", EVERYTHING)
    with topics(broker.servers) as kafka:
        async with told(broker, through_the_guard(broker, kafka), Secrets({OWN.name: USER})) as story:
            forbid(broker.servers, "feed")
            await story.worker.until(lambda: not story.worker.streamer.kafka_status().reachable, within=30)
            message = story.worker.streamer.kafka_status().message
            await asyncio.sleep(3)
            allow(broker.servers, "feed", EVERYTHING)
            await story.flows()
            await story.worker.reachable()
            _, gaps = await story.end()
    assert "allow our user Write and Describe" in message
    assert gaps == []


async def test_a_password_that_is_not_taken_any_more_is_named_and_waited_for(broker: Broker) -> None:
    guarded(broker)
    await broker.start()
    allow(broker.servers, "feed", EVERYTHING)
    with topics(broker.servers) as kafka:
        async with told(broker, through_the_guard(broker, kafka), Secrets({OWN.name: USER})) as story:
            broker.kill()
            guarded(broker, password="another")
            await broker.start()
            await story.worker.until(lambda: "refuses us" in story.worker.streamer.kafka_status().message, within=30)
            message = story.worker.streamer.kafka_status().message
            broker.kill()
            guarded(broker)
            await broker.start()
            await story.flows()
            await story.worker.reachable()
            _, gaps = await story.end()
    assert "feed-secret" not in message
    assert gaps == []
