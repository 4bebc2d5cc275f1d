"""A feed that writes Avro, on a real Kafka and with a real schema registry."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import io
import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import fastavro
import msgspec
import pytest
from aiohttp import web
from confluent_kafka import Consumer, TopicPartition

import ibfeed
from component.scripted_gateway import (
    Gateway,
    Worker,
    entry,
    full,
    now_ms,
    send,
    serving,
    smd,
    streaming,
    topics,
    working,
)
from ibfeed_api.feed import Kafka, RecordFormat, SchemaRegistry, Topic
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import ContractState
from ibfeed_worker.publish import NOBODY, connect
from ibfeed_worker.publish.schema_registry import Schemas
from support.forwarder import Forwarder
from support.ports import free_port
from support.registry import Registry
from support.stream import KAFKA

CONID = 640_000_001


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture
def kafka(registry: Registry) -> Iterator[Kafka]:
    with topics() as settings:
        yield in_avro(settings, registry.url)


def in_avro(settings: Kafka, url: str) -> Kafka:
    return msgspec.structs.replace(settings, format=RecordFormat.AVRO, schema_registry=SchemaRegistry(url=url))


def values_of(topic: Topic) -> Iterator[bytes]:
    """All values of a topic, partition after partition."""
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": "none", "enable.auto.commit": False, "log_level": 2})
    try:
        for partition in range(topic.partitions):
            place = TopicPartition(topic.name, partition, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=10)
            consumer.assign([place])
            found: list[bytes] = []
            while len(found) < end:
                messages = consumer.consume(1000, timeout=0.2)
                assert all(message.error() is None for message in messages)
                found += [message.value() or b"" for message in messages]
            yield from found
    finally:
        consumer.close()


def read(value: bytes, registry: Registry) -> dict[str, Any]:
    """Read a record as any client of the registry does."""
    assert value[0] == 0
    schema = fastavro.parse_schema(msgspec.json.decode(registry.schema(int.from_bytes(value[1:5]))))
    found = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)
    assert isinstance(found, dict)
    return found


def ticking(begin: int, times: list[int]) -> Any:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+")
        await send(socket, full(CONID, begin))
        for count in itertools.count(1):
            times.append(begin + 500 * count)
            await send(socket, smd(CONID, times[-1], f31=f"{count}.25"))
            await asyncio.sleep(0.02)

    return script


async def publishes(worker: Worker, begin: int, *, epoch: int, updates: int) -> int:
    """Have the worker publish at least this many updates; return the event time of the last one that was sent."""
    times: list[int] = []
    async with serving(ticking(begin, times)) as (_, link):
        worker.streamer.obey((entry(CONID, 0, epoch=epoch),))
        async with streaming(worker, link):
            until = begin + 500 * updates
            await worker.until(
                lambda: any(
                    report.state is ContractState.PUBLISHING and (report.event_time or 0) >= until
                    for report in worker.streamer.reports()
                ),
                within=60,
            )
    return times[-1]


async def test_next_worker_goes_on_behind_the_tail(kafka: Kafka, registry: Registry) -> None:
    """Neither worker repeats an update, and the second one knows the first by the topic alone."""
    begin = now_ms()
    for epoch in (1, 2):
        # Each is a process of its own, which has registered nothing yet.
        async with working(kafka, connect=functools.partial(connect, schemas=Schemas())) as worker:
            await worker.reachable()
            begin = await publishes(worker, begin, epoch=epoch, updates=40) - 2000  # the second one hears some again
    records = [read(value, registry) for value in values_of(kafka.topics.ticklast)]
    assert len(records) > 60
    for key in ("event_time", "seq"):
        told = [record[key] for record in records]
        assert told == sorted(set(told)), f"{key}: an update came twice, or late"
    assert all(isinstance(record["price"], Decimal) for record in records)
    kinds = [read(value, registry)["kind"] for value in values_of(kafka.topics.feed_events)]
    assert kinds.count("assigned") == 2
    names = {f"{topic.name}-value" for topic in (*kafka.topics.every, kafka.topics.contracts)}
    assert names <= set(registry.subjects())


def test_contracts_are_written_and_read(kafka: Kafka, registry: Registry) -> None:
    topic = Topic(name=kafka.topics.feed_events.name + "-contracts", partitions=1)
    settings = msgspec.structs.replace(kafka, topics=msgspec.structs.replace(kafka.topics, contracts=topic))
    record = {
        "conid": CONID, "symbol": "CLZ6", "root": "CL", "exchange": None, "trading_class": None, "multiplier": 1000,
        "currency": "USD", "min_price_increment": 0.01, "contract_month": None, "first_notice_day": None,
        "last_trading_day": "20261119", "trading_hours": [[1, 2], [3, 4]], "slot": 0, "feed": "energy",
        "market_data_type": None, "timeliness": None, "market_data_marks": [], "at_ms": 5,
    }  # fmt: skip
    value = msgspec.json.encode(record)
    broker = connect(settings, NOBODY, "energy-0", lambda *_: None, 1_000_000)
    try:
        broker.provide_table(topic, create=True)
        broker.write_table(topic, [(0, b"1", value), (0, b"2", value), (0, b"2", None)])
        assert {key: msgspec.json.decode(told) for key, told in broker.read_table(topic).items()} == {b"1": record}
        assert read(next(values_of(topic)), registry)["multiplier"] == 1000
    finally:
        broker.abandon()


async def test_registry_that_comes_late_and_goes_again(registry: Registry) -> None:
    """The worker says what it waits for, begins when it is there, and needs it no more."""
    with topics() as settings, Forwarder("127.0.0.1", registry.port) as between:
        between.cut()
        kafka = in_avro(settings, registry.url.replace(str(registry.port), str(between.port)))
        async with working(kafka) as worker:
            await worker.until(lambda: worker.streamer.kafka_status().reason == Reason.SCHEMA_REGISTRY_AWAY, within=30)
            assert f"127.0.0.1:{between.port}/apis" in worker.streamer.kafka_status().message
            between.mend()
            await worker.until(lambda: worker.streamer.kafka_status().reachable, within=60)
            between.cut()
            await publishes(worker, now_ms(), epoch=1, updates=10)
            assert worker.streamer.kafka_status().reachable


async def test_the_reader_tells_avro_as_it_tells_json(kafka: Kafka, registry: Registry) -> None:
    names = kafka.topics
    asked: dict[str, Any] = {
        "topics": ibfeed.Topics(names.ticklast.name, names.l2_data.name, names.feed_events.name, None),
        "start": dt.timedelta(minutes=5),
        "until": "now",
    }
    async with working(kafka) as worker:
        await worker.reachable()
        await publishes(worker, now_ms(), epoch=1, updates=10)
    known = ibfeed.SchemaRegistry(registry.url)
    events = await asyncio.to_thread(lambda: list(ibfeed.read(KAFKA, schema_registry=known, **asked)))
    ticks = [event for event in events if isinstance(event, ibfeed.Tick)]
    assert len(ticks) >= 10
    assert ticks[1].exact("price") == Decimal("1.25")
    assert {event.kind for event in events if isinstance(event, ibfeed.Status)} >= {"assigned", "session"}
    with pytest.raises(ibfeed.RecordError, match="name the feed's registry"):
        await asyncio.to_thread(lambda: list(ibfeed.read(KAFKA, **asked)))
    nobody = ibfeed.SchemaRegistry(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ibfeed.RegistryError, match="does not answer"):
        await asyncio.to_thread(lambda: list(ibfeed.read(KAFKA, schema_registry=nobody, **asked)))
