"""What a worker finds on a real Kafka of a contract that nobody remembers, and what it does about it."""

from __future__ import annotations

import asyncio
import json
import time

import msgspec
import pytest
from aiohttp import web
from confluent_kafka import Producer

from component.scripted_gateway import (
    PARTITIONS,
    Gateway,
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
from component.test_stream_kafka import read_all
from ibfeed_api.feed import Kafka, Topic
from ibfeed_api.records import seq_of
from ibfeed_api.shard import ContractState
from ibfeed_worker.publish import NOBODY, Broker, connect
from ibfeed_worker.publish.tail import LOOK_BACK, Question

CONID, OTHER = 640_000_001, 640_000_002
NOW = int(time.time())


def write(kafka: Kafka, topic: Topic, *records: tuple[int, int, int, int, int]) -> None:
    """Conid, partition, epoch, count and event time of each."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for conid, partition, epoch, count, at in records:
        value = json.dumps({"conid": conid, "event_time": at, "seq": seq_of(epoch, count)})
        producer.produce(
            topic.name, value.encode(), str(conid).encode(), partition, headers=[("epoch", str(epoch).encode())]
        )
        producer.poll(0)
    assert producer.flush(30) == 0


def broker(kafka: Kafka) -> Broker:
    return connect(kafka, NOBODY, "energy-0", lambda *_: None, 1_000_000)


@pytest.mark.parametrize("where", ["its partition", "another partition", "the order books"])
async def test_an_epoch_is_found_wherever_a_feed_left_it(where: str) -> None:
    begin = now_ms() - 60_000

    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+")
        await send(socket, full(CONID, begin))
        for n in range(1, 200):
            await send(socket, smd(CONID, begin + 500 * n, f31=f"{n}.25"))
            await asyncio.sleep(0.02)

    with topics() as kafka:
        async with serving(script) as (_, link), working(kafka) as worker:
            await worker.reachable()  # the topics are there
            place = {"its partition": 0, "another partition": PARTITIONS - 1, "the order books": 0}[where]
            topic = kafka.topics.l2_data if where == "the order books" else kafka.topics.ticklast
            write(kafka, topic, (CONID, place, NOW + 100, 7, begin - 1000))
            given = msgspec.structs.replace(entry(CONID, 0, NOW), fresh=True)
            worker.streamer.obey((given,))
            async with streaming(worker, link):
                await worker.until(lambda: worker.streamer.reports()[0].kafka_epoch == NOW + 100)
                assert worker.streamer.published.ticks.handed_over == 0
                worker.streamer.obey((msgspec.structs.replace(given, epoch=NOW + 101),))
                await worker.until(lambda: worker.streamer.reports()[0].state is ContractState.PUBLISHING)
                await worker.until(lambda: worker.streamer.published.ticks.acknowledged > 20)
        found = [record for record in read_all(kafka.topics.ticklast) if "symbol" in record.value]
        assert {record.headers["epoch"] for record in found} == {str(NOW + 101)}
        assert found[0].value["seq"] == seq_of(NOW + 101, 1)


def test_a_quiet_contract_among_busy_ones() -> None:
    """Its last record is further back than is looked, under an epoch of an operator whose clock was ahead."""
    with topics() as kafka:
        client = broker(kafka)
        client.create([kafka.topics.ticklast, kafka.topics.l2_data])
        write(kafka, kafka.topics.ticklast, (CONID, 0, NOW + 9000, 1, 1))
        busy = [(OTHER, 0, NOW + 9001, n, n) for n in range(LOOK_BACK + 50)]
        write(kafka, kafka.topics.ticklast, *busy)
        for anywhere in (False, True):
            question = Question(str(CONID).encode(), 0, anywhere)
            found = client.tails(kafka.topics.ticklast, kafka.topics.l2_data, [question])[question.key]
            assert found.mark is None
            assert "none of the contract" in found.doubt
            assert found.epoch == NOW + 9000
        client.abandon()


def test_many_partitions_are_read_within_the_limit() -> None:
    with topics() as kafka:
        client = broker(kafka)
        client.create([kafka.topics.ticklast, kafka.topics.l2_data])
        for number in range(PARTITIONS):
            write(kafka, kafka.topics.ticklast, *((OTHER, number, NOW, n, n) for n in range(LOOK_BACK)))
        write(kafka, kafka.topics.ticklast, (CONID, 1, NOW + 5, 1, 77))
        begun = time.monotonic()
        question = Question(str(CONID).encode(), 0, anywhere=True)
        found = client.tails(kafka.topics.ticklast, kafka.topics.l2_data, [question])[question.key]
        assert (found.doubt, found.epoch) == ("", NOW + 5)
        assert found.mark is not None
        assert found.mark.event_time == 77
        assert time.monotonic() - begun < 6
        client.abandon()
