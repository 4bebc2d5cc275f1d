"""Ticks a second of the package ``ibfeed``, beside a bare loop of the Kafka client that it builds on.

Both read the same topic, in turns, in one process, with the same properties for fetching. The bare loop takes batches
and touches each value. A round is timed from its first record on. ``wall`` is ticks a second; ``cpu`` is ticks for each
second of processor time of all threads, which other load on the machine does not change much.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import ibfeed
from ibfeed.kafka import FETCHING
from support.broker import Broker

PARTITIONS = 4
TICKS = 400_000
ROUNDS = int(os.environ.get("READER_ROUNDS", "5"))
CONTRACTS = 400
EPOCH = 1_795_244_400
BEGINNING = dt.datetime.fromtimestamp(0, dt.UTC)
VALUE = (
    '{"symbol":"CLZ6","conid":%d,"price":71.%02d,"size":3,"open_interest":312456,"event_time":%d,'
    '"market_data_type":"RpB","bid":71.89,"bid_size":12,"ask":71.91,"ask_size":9,"volume":87250,'
    '"received_ns":1795244400171000000,"seq":%d,"flags":["price","size","volume"]}'
)


@dataclass(frozen=True)
class Speed:
    wall: float
    cpu: float


class Watch:
    """A stopwatch that begins with the first record."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None

    def start(self) -> None:
        self._began = self._began or (time.perf_counter(), time.process_time())

    def speed(self, ticks: int) -> Speed:
        assert self._began is not None
        wall, cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        return Speed(ticks / wall, ticks / cpu)


@contextmanager
def filled_topic(servers: str, ticks: int) -> Iterator[str]:
    """A topic with this many ticks; it is deleted at the end."""
    topic = f"reader-speed-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)])[topic].result(20)
    try:
        fill(servers, topic, ticks)
        yield topic
    finally:
        admin.delete_topics([topic])[topic].result(20)


def fill(servers: str, topic: str, ticks: int) -> None:
    # Without idempotence a retry may change the order, and the reader drops what comes late.
    settings = {"enable.idempotence": True, "linger.ms": 20, "queue.buffering.max.messages": 100_000}
    producer = Producer({"bootstrap.servers": servers, **settings})
    headers: list[tuple[str, str | bytes | None]] = [
        ("epoch", str(EPOCH).encode()),
        ("worker", b"energy-0"),
        ("schema", b"ticklast/2"),
    ]
    for number in range(ticks):
        conid, count = 200_000_000 + number % CONTRACTS, number // CONTRACTS
        value = VALUE % (conid, number % 100, EPOCH * 1000 + number, (EPOCH << 20) + count + 1)
        while True:
            try:
                producer.produce(
                    topic, value=value, key=str(conid), partition=conid % PARTITIONS, headers=list(headers)
                )
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(60)


def bare(servers: str, topic: str, ticks: int) -> Speed:
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": str(uuid.uuid4()), "enable.auto.commit": False, **FETCHING}
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    watch, left = Watch(), ticks
    while left > 0:
        batch = consumer.consume(1000, timeout=0.1)
        if batch:
            watch.start()
        for message in batch:
            message.value()
        left -= len(batch)
    speed = watch.speed(ticks)
    consumer.close()
    return speed


def reader(servers: str, topic: str, ticks: int) -> Speed:
    topics = ibfeed.Topics(ticks=topic, books=None, events=None, contracts=None)
    watch, left, total = Watch(), ticks, 0.0
    with ibfeed.read(servers, feed="energy", start=BEGINNING, topics=topics) as events:
        for event in events:
            if left == ticks:
                watch.start()
            match event:
                case ibfeed.Tick():
                    total += event.price
            left -= 1
            if not left:
                break
        speed = watch.speed(ticks)
    assert total > 0
    return speed


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Keys ``reader_ticks_per_s``, ``reader_vs_bare``, and what they rest on."""
    loops: dict[str, Callable[[str, str, int], Speed]] = {"bare": bare, "reader": reader}
    found: dict[str, list[Speed]] = {name: [] for name in loops}
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        try:
            asyncio.run(broker.start())
            with filled_topic(broker.servers, TICKS) as topic:
                for _ in range(ROUNDS):
                    for name, loop in loops.items():
                        speed = loop(broker.servers, topic, TICKS)
                        found[name].append(speed)
                        say(f"{name}: {speed.wall:,.0f} ticks/s, {speed.cpu:,.0f} for a second of processor")
        finally:
            broker.kill()
    walls = {name: statistics.median(speed.wall for speed in speeds) for name, speeds in found.items()}
    cpus = {name: statistics.median(speed.cpu for speed in speeds) for name, speeds in found.items()}
    return {
        "reader_ticks_per_s": round(walls["reader"]),
        "reader_vs_bare": round(walls["reader"] / walls["bare"], 3),
        "reader_bare_ticks_per_s": round(walls["bare"]),
        "reader_vs_bare_cpu": round(cpus["reader"] / cpus["bare"], 3),
    }
