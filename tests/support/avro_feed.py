"""The values of a feed that writes Avro, made as its workers make them."""

from __future__ import annotations

import time
from typing import Final

import ibfeed
from ibfeed_api.feed import Kafka, RecordFormat, SchemaRegistry, Topic, Topics
from ibfeed_worker.publish import NOBODY
from ibfeed_worker.publish.schema_registry import RegistryError, Schemas


class AvroFeed:
    """The schemas of a feed's topics, registered at a registry.

    Args:
        url: the registry's.
        topics: the feed's; all four are named.
    """

    def __init__(self, url: str, topics: ibfeed.Topics) -> None:
        ticks, books, events, contracts = (
            Topic(name=name or "") for name in (topics.ticks, topics.books, topics.events, topics.contracts)
        )
        self.kafka: Final = Kafka(
            bootstrap_servers="unused",
            topics=Topics(ticklast=ticks, l2_data=books, feed_events=events, contracts=contracts),
            format=RecordFormat.AVRO,
            schema_registry=SchemaRegistry(url=url),
        )
        self._schemas: Final = Schemas()
        self._register()

    def _register(self, limit_s: float = 60.0) -> None:
        """Register, as often as it takes: a worker gives a call 2 s, and a first one takes longer on busy cores."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                self._schemas.register(self.kafka, NOBODY)
            except RegistryError as error:
                assert not error.refused, error
                assert time.monotonic() < deadline, error
            else:
                return

    def encode(self, topic: str, value: bytes | None) -> bytes | None:
        """Return the Avro of a JSON record; a tombstone stays one."""
        return None if value is None else self._schemas.encode(topic, value)

    def decode(self, value: bytes) -> bytes:
        """Return the JSON that a worker reads of it."""
        return self._schemas.decode(self.kafka, NOBODY, value)
