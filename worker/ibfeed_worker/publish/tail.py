"""How far contracts are on Kafka: the latest record of each, found in the tails of their partitions.

This is asked when the worker that published last can't say any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition

from ibfeed_api.shard import Mark

LOOK_BACK: Final = 5000  # records of a partition
LIMIT_S: Final = 2.0
_BATCH: Final = 1000
_WAIT_S: Final = 0.1

Wanted = Mapping[int, Collection[bytes]]  # partition -> keys


class Tail(NamedTuple):
    """The latest record. Without one and without a ``doubt``, the contract was never published."""

    mark: Mark | None
    doubt: str = ""  # why it is not known


class Window(NamedTuple):
    """The offsets that Kafka has of a partition: from ``low`` to before ``high``."""

    low: int
    high: int

    @property
    def start(self) -> int:
        return max(self.low, self.high - LOOK_BACK)


class _Place(msgspec.Struct):
    event_time: int
    seq: int


_decoder: Final = msgspec.json.Decoder(_Place)


class Search:
    """Pure: records go in, in each partition's order."""

    def __init__(self, wanted: Wanted, windows: Mapping[int, Window]) -> None:
        """A partition without a window counts as not read."""
        self._wanted: Final = wanted
        self._windows: Final = windows
        empty = {partition for partition, window in windows.items() if window.start >= window.high}
        self._open: Final = set(wanted) - empty
        self._latest: Final[dict[tuple[int, bytes], bytes]] = {}

    @property
    def done(self) -> bool:
        return not self._open

    def take(self, partition: int, offset: int, key: bytes, value: bytes) -> None:
        if key in self._wanted[partition]:
            self._latest[partition, key] = value
        if offset >= self._windows[partition].high - 1:
            self._open.discard(partition)

    def end(self, partition: int) -> None:
        """Kafka has no more: the last offsets need not be records."""
        self._open.discard(partition)

    def tails(self) -> dict[bytes, Tail]:
        return {key: self._tail(partition, key) for partition, keys in self._wanted.items() for key in keys}

    def _tail(self, partition: int, key: bytes) -> Tail:
        if partition in self._open:
            return Tail(None, f"Kafka did not give all of the partition's tail within {LIMIT_S:g} s")
        value = self._latest.get((partition, key))
        if value is None:
            start = self._windows[partition].start
            return Tail(None, "the partition's latest records hold none of the contract" if start else "")
        try:
            place = _decoder.decode(value)
        except msgspec.DecodeError:
            return Tail(None, "the contract's latest record can't be read")
        return Tail(Mark(event_time=place.event_time, seq=place.seq))


def read(settings: Mapping[str, Any], topic: str, wanted: Wanted) -> dict[bytes, Tail]:
    """Look it up. Blocks for little more than ``LIMIT_S``. Raises KafkaException."""
    deadline = time.monotonic() + LIMIT_S
    consumer = Consumer(
        {
            **settings,
            "group.id": settings["client.id"],  # asked for, not joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
        },
        logger=logging.getLogger("librdkafka"),
    )
    try:
        windows = {}
        for number in wanted:
            left = max(_WAIT_S, deadline - time.monotonic())
            offsets = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=left)
            if offsets is not None:
                windows[number] = Window(*offsets)
        search = Search(wanted, windows)
        consumer.assign([TopicPartition(topic, number, window.start) for number, window in windows.items()])
        while not search.done and time.monotonic() < deadline:
            for message in consumer.consume(_BATCH, timeout=_WAIT_S):
                error, partition, offset = message.error(), message.partition(), message.offset()
                if partition is None or offset is None:
                    continue
                if error is None:
                    search.take(partition, offset, message.key() or b"", message.value() or b"")
                elif error.code() == KafkaError._PARTITION_EOF:
                    search.end(partition)
        return search.tails()
    finally:
        consumer.close()
