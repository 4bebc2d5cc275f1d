"""The part of the job that runs on the executors: a part of a batch, to Redis."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from redis.exceptions import RedisError

from ibfeed.errors import RecordError, RegistryUnreachableError
from ibfeed.registry import SchemaRegistry
from ibfeed.stream import Topics
from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.hot_store.store import HotStore, HotStoreSettings
from ibfeed_platform.hot_store.updates import Update
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.redis_settings import RedisSettings, told_or_refused
from ibfeed_platform.sinks.values import Values
from ibfeed_platform.sinks.values import told as told_of_registry
from ibfeed_platform.spark.rows import KafkaRow
from ibfeed_platform.spark.settings import PASSWORD, REGISTRY_PASSWORD
from ibfeed_platform.spark.updates import Decoder

_ROUND: Final = 2000  # rows that are written before the next ones are read
# A Redis or a registry that restarts is waited for, 63 s in all. Then the task fails, and Spark tries it as often as it
# is told.
_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.5, *(3.0 for _ in range(20)))
_log: Final = logging.getLogger(__name__)

Result = TypeVar("Result")
Failure = TypeVar("Failure", bound=Exception)


class Shared(Protocol):
    """A broadcast variable of Spark."""

    @property
    def value(self) -> Any: ...


class Count(Protocol):
    """An accumulator of Spark."""

    def add(self, term: int) -> None: ...


@dataclass(frozen=True, slots=True)
class PartWriter:
    """The writer that Spark calls with the rows of each part of a batch. It is sent to the executors.

    Args:
        contracts: the feed's reference data by conid.
        changed: counts records of topic ``contracts``, so that the driver reads it again.
        unreadable: counts records that cannot be read. They are left out.
        registry: the schema registry of a feed that writes Avro, without the password.
    """

    topics: Topics
    feed: str
    redis: RedisSettings
    contracts: Shared
    changed: Count
    unreadable: Count
    registry: SchemaRegistry | None = None

    def __call__(self, rows: Iterable[Any]) -> None:
        """Write the rows, which have the columns of ``KafkaRow``. Raises SinkError."""
        keys = Keys(self.feed, self.redis.prefix)
        decoder = Decoder(self.topics, keys, self.contracts.value, values_of(self.registry))
        store = hot_store(self.redis)
        messages = (KafkaRow(*row) for row in rows)
        while part := list(islice(messages, _ROUND)):
            self.changed.add(sum(message.topic() == self.topics.contracts for message in part))
            updates = with_registry(lambda part=part: list(self._updates(decoder, part)))  # type: ignore[misc]
            write(store, updates, self.redis)

    def _updates(self, decoder: Decoder, part: Sequence[KafkaRow]) -> Iterator[Update]:
        unreadable = 0
        for message in part:
            try:
                update = decoder.update_of(message)
            except RecordError as error:
                if not unreadable:
                    _log.warning("left out: %s", error)
                unreadable += 1
                continue
            if update is not None:
                yield update
        self.unreadable.add(unreadable)


def write(
    store: HotStore, updates: list[Update], settings: RedisSettings, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Write, and wait for a Redis that is away. Raises SinkError."""
    _waited(lambda: store.write(updates), RedisError, lambda error: told_or_refused(error, settings), sleep)


def with_registry(work: Callable[[], Result], sleep: Callable[[float], None] = time.sleep) -> Result:
    """Return the result of ``work``, and wait for a registry that is away. Raises SinkError."""
    return _waited(work, RegistryUnreachableError, told_of_registry, sleep)


def _waited(
    work: Callable[[], Result], away: type[Failure], told: Callable[[Failure], str], sleep: Callable[[float], None]
) -> Result:
    for pause_s in _PAUSES_S:
        try:
            return work()
        except away as error:
            told(error)  # it raises for a refusal, which no wait helps
            sleep(pause_s)
    try:
        return work()
    except away as error:
        raise SinkError(f"{told(error)}; it has failed for {sum(_PAUSES_S):.0f} s") from None


@functools.cache
def hot_store(settings: RedisSettings) -> HotStore:
    """Return the writer of this process, which has the password. Spark keeps the process for many batches."""
    client = replace(settings, password=os.environ.get(PASSWORD)).client()
    return HotStore(client, HotStoreSettings(settings.expiry_s))


@functools.cache
def values_of(registry: SchemaRegistry | None) -> Values:
    """Return the reader of values of this process, which has the password. It keeps the schemas."""
    return Values(None if registry is None else replace(registry, password=os.environ.get(REGISTRY_PASSWORD, "")))
