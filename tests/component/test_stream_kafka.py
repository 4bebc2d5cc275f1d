"""From a websocket over TLS to a real Kafka: exactly what was sent, once, in order, on the contract's partition."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import defaultdict
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web
from confluent_kafka import Consumer, TopicPartition

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
from ibfeed_api.feed import Kafka, Topic, Topics
from ibfeed_api.records import seq_of
from ibfeed_api.shard import ContractState, EntryState
from support.kafka_message import headers_of, key_of, place_of, value_of
from support.stream import KAFKA, Record

CONIDS = (640_000_001, 640_000_002, 640_000_003, 640_000_004, 640_000_005)
SLOTS = {conid: slot for slot, conid in enumerate(CONIDS)}


def read_all(topic: Topic, servers: str = KAFKA) -> list[Record]:
    """Every record of a topic, from its beginning."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "none", "enable.auto.commit": False, "log_level": 2})
    try:
        ends = {}
        for partition in range(topic.partitions):
            _, high = consumer.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=10)
            ends[partition] = high
        consumer.assign([TopicPartition(topic.name, partition, 0) for partition in ends])
        found: list[Record] = []
        deadline = time.monotonic() + 60
        while len(found) < sum(ends.values()):
            assert time.monotonic() < deadline, f"{topic.name}: {len(found)} of {sum(ends.values())} records came"
            for message in consumer.consume(1000, timeout=0.2):
                assert message.error() is None
                partition, offset = place_of(message)
                found.append(
                    Record(
                        partition=partition,
                        offset=offset,
                        arrived=0.0,
                        key=key_of(message).decode(),
                        headers=headers_of(message),
                        value=json.loads(value_of(message), parse_float=Decimal),
                    )
                )
        return found
    finally:
        consumer.close()


def by_contract(records: list[Record]) -> dict[int, list[Record]]:
    grouped: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        grouped[record.conid].append(record)
    return grouped


async def test_every_update_is_there_once_in_order_on_its_partition() -> None:
    updates_each = 400
    begin = now_ms() - 60_000_000
    sent: dict[int, list[tuple[int, str]]] = {conid: [(begin, "71.90")] for conid in CONIDS}
    dice = random.Random(4)

    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+", len(CONIDS))
        for conid in CONIDS:
            await send(socket, full(conid, begin))
        for step in range(1, updates_each + 1):
            for conid in dice.sample(CONIDS, len(CONIDS)):
                at, price = begin + 500 * step, f"{dice.randint(1, 20_000) / 100:.2f}"
                sent[conid].append((at, price))
                message = msgspec.json.encode(smd(conid, at, f31=price, f7762=f"{step:,}"))
                if dice.random() < 0.1:  # in pieces
                    cut = dice.randint(1, len(message) - 1)
                    await socket.send_bytes(message[:cut])
                    await socket.send_bytes(message[cut:])
                else:
                    await socket.send_bytes(message)
                if dice.random() < 0.02:
                    await socket.send_bytes(dice.randbytes(30))
            if step == updates_each // 2:
                for conid in CONIDS:  # a renewal's full frame: the same update again
                    at, price = sent[conid][-1]
                    await send(socket, {**full(conid, at, price), "7762": f"{step:,}"})

    with topics() as kafka:
        async with serving(script) as (_, link), working(kafka) as worker:
            await worker.reachable()
            worker.streamer.obey(tuple(entry(conid, SLOTS[conid], epoch=3) for conid in CONIDS))
            async with streaming(worker, link):
                total = len(CONIDS) * (updates_each + 1)
                await worker.until(
                    lambda: all(
                        report.event_time == begin + 500 * updates_each for report in worker.streamer.reports()
                    ),
                    within=60,
                )
        records = read_all(kafka.topics.ticklast)
    assert len(records) == total
    for conid, found in by_contract(records).items():
        assert {record.partition for record in found} == {SLOTS[conid] % PARTITIONS}
        assert [(record.value["event_time"], f"{record.value['price']}") for record in found] == sent[conid]
        assert [record.value["seq"] for record in found] == [seq_of(3, n) for n in range(1, len(found) + 1)]
        assert {record.headers["epoch"] for record in found} == {"3"}
        assert {record.headers["worker"] for record in found} == {"test-0"}
        assert list(found[0].value)[:7] == [
            "symbol", "conid", "price", "size", "open_interest", "event_time", "market_data_type",
        ]  # fmt: skip


async def test_after_a_lost_connection_everything_is_subscribed_again_and_nothing_comes_twice() -> None:
    begin = now_ms() - 1_000_000
    conid = CONIDS[0]

    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        life = gateway.connections
        await gateway.greet(socket)
        await gateway.hears("smd+", life)
        if life == 1:
            await send(socket, full(conid, begin, "71.00"))
            await send(socket, smd(conid, begin + 500, f31="72.00"))
            await asyncio.sleep(0.2)
            await socket.close()
        elif life == 2:  # nothing has happened meanwhile
            await send(socket, full(conid, begin + 500, "72.00"))
            await send(socket, smd(conid, begin + 1000, f31="73.00"))
            await asyncio.sleep(0.2)
            await socket.close()
        else:  # two minutes are missing
            await send(socket, full(conid, begin + 120_000, "90.00"))

    with topics() as kafka:
        async with serving(script) as (_, link), working(kafka) as worker:
            await worker.reachable()
            worker.streamer.obey((entry(conid, 0),))
            for _ in range(2):
                end = await asyncio.wait_for(worker.streamer.stream(link), 10)
                assert end.reason == "closed"
                assert worker.streamer.reports()[0].state is ContractState.SUBSCRIBING
            async with streaming(worker, link):
                await worker.until(lambda: worker.streamer.reports()[0].event_time == begin + 120_000)
        records, events = read_all(kafka.topics.ticklast), read_all(kafka.topics.feed_events)
    times = [record.value["event_time"] - begin for record in records]
    assert times == [0, 500, 1000, 120_000]
    gaps = [event.value for event in events if event.value["kind"] == "gap"]
    assert [(gap["from_ms"] - begin, gap["to_ms"] - begin) for gap in gaps] == [(1000, 120_000)]


async def test_a_retired_contract_is_flushed_and_reported_and_unsubscribed_when_its_entry_goes() -> None:
    begin = now_ms() - 1_000_000
    conid, other = CONIDS[:2]

    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+", 2)
        await send(socket, full(conid, begin))
        await send(socket, full(other, begin))
        for step in range(1, 1000):
            await send(socket, smd(conid, begin + step, f31=f"{step}.00"))
            await asyncio.sleep(0.002)

    with topics() as kafka:
        async with serving(script) as (gateway, link), working(kafka) as worker:
            await worker.reachable()
            worker.streamer.obey((entry(conid, 0), entry(other, 1)))
            async with streaming(worker, link):
                await worker.until(lambda: (worker.streamer.reports()[0].event_time or 0) > begin + 20)
                worker.streamer.obey((entry(conid, 0, state=EntryState.RETIRING), entry(other, 1)))
                await worker.until(lambda: worker.streamer.reports()[0].state is ContractState.RELEASED)
                released = worker.streamer.reports()[0]
                await asyncio.sleep(0.3)
                assert worker.streamer.lines_used == 2
                assert worker.streamer.reports()[0] == released or worker.streamer.reports()[0].seq == released.seq
                worker.streamer.obey((entry(other, 1),))
                await gateway.hears(f"umd+{conid}+{{}}")
                assert worker.streamer.lines_used == 1
                assert not any(said.startswith(f"umd+{other}") for said in gateway.said)
        last = by_contract(read_all(kafka.topics.ticklast))[conid][-1]
    assert (last.value["event_time"], last.value["seq"]) == (released.event_time, released.seq)


async def test_release_on_the_way_out_unsubscribes_everything() -> None:
    begin = now_ms() - 1_000_000

    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+", len(CONIDS))
        for conid in CONIDS:
            await send(socket, full(conid, begin))

    with topics() as kafka:
        async with serving(script) as (gateway, link), working(kafka) as worker:
            await worker.reachable()
            worker.streamer.obey(tuple(entry(conid, SLOTS[conid]) for conid in CONIDS))
            async with streaming(worker, link):
                await worker.until(lambda: all(r.state is ContractState.PUBLISHING for r in worker.streamer.reports()))
                await asyncio.wait_for(worker.streamer.release(), 5)
                assert {report.state for report in worker.streamer.reports()} == {ContractState.RELEASED}
                await gateway.hears("umd+", len(CONIDS))
                await asyncio.sleep(0.3)
        subscribes = [said for said in gateway.said if said.startswith("smd+")]
        assert len(subscribes) == len(CONIDS)  # nothing was subscribed again
        kinds = [event.value["kind"] for event in read_all(kafka.topics.feed_events)]
    assert kinds.count("assigned") == kinds.count("released") == len(CONIDS)


async def test_an_unreachable_kafka_is_named_and_never_blocks() -> None:
    begin = now_ms() - 1_000_000

    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+")
        await send(socket, full(CONIDS[0], begin))
        with contextlib.suppress(ConnectionError):
            for step in range(1, 10_000):
                await send(socket, smd(CONIDS[0], begin + step, f31=f"{step}.00"))

    kafka = Kafka(bootstrap_servers="127.0.0.1:1")
    async with serving(script) as (_, link), working(kafka) as worker:
        worker.streamer.obey((entry(CONIDS[0], 0),))
        async with streaming(worker, link):
            await worker.until(lambda: "refuses connections" in worker.streamer.kafka_status().message)
            status = worker.streamer.kafka_status()
            assert not status.reachable
            assert "127.0.0.1:1" in status.message
            await worker.until(lambda: frames(worker.streamer.collector) > 9000)
            assert worker.streamer.reports()[0].state is ContractState.SUBSCRIBING


def frames(collector: Any) -> float:
    samples = (sample for family in collector.collect() for sample in family.samples)
    found: float = next(sample.value for sample in samples if sample.name == "ibfeed_frames_total")
    return found


async def test_a_topic_of_another_size_is_refused_with_advice() -> None:
    with topics() as kafka:
        async with working(kafka) as worker:
            await worker.reachable()
        wrong = Topics(
            ticklast=Topic(name=kafka.topics.ticklast.name, partitions=PARTITIONS + 1),
            l2_data=kafka.topics.l2_data,
            feed_events=kafka.topics.feed_events,
        )
        async with working(msgspec.structs.replace(kafka, topics=wrong)) as worker:
            await worker.until(lambda: "partitions" in worker.streamer.kafka_status().message)
            message = worker.streamer.kafka_status().message
    assert f"has {PARTITIONS} partitions, the feed says {PARTITIONS + 1}" in message
