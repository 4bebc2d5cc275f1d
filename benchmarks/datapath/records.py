"""What is on a topic, from its beginning, as far as the judge needs it."""

from __future__ import annotations

import time
from collections import defaultdict

import msgspec
from confluent_kafka import Consumer, TopicPartition

from datapath.verdict import Written
from support.kafka_message import place_of, value_of


class _Tick(msgspec.Struct):
    conid: int
    price: msgspec.Raw
    event_time: int
    seq: int


_decoder = msgspec.json.Decoder(_Tick)


def written(servers: str, topic: str, partitions: int) -> dict[int, list[Written]]:
    """Conid -> its records in the order of their offsets. Raises AssertionError if they do not come within 60 s."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "enable.auto.commit": False})
    found: dict[int, list[Written]] = defaultdict(list)
    try:
        places = [TopicPartition(topic, number, 0) for number in range(partitions)]
        left = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
        consumer.assign(places)
        deadline = time.monotonic() + 60
        while left:
            assert time.monotonic() < deadline, f"{topic}: {left} records did not come"
            for message in consumer.consume(2000, timeout=0.5):
                assert message.error() is None, message.error()
                tick = _decoder.decode(value_of(message))
                price = bytes(tick.price).decode()
                found[tick.conid].append(Written(place_of(message)[0], tick.seq, tick.event_time, price))
                left -= 1
        return found
    finally:
        consumer.close()
