"""The part of the job that runs on the executors: a part of a batch, to Redis."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Protocol

from redis.exceptions import RedisError

from ibfeed.errors import RecordError
from ibfeed.stream import Topics
from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.hot_store.store import HotStore, HotStoreSettings
from ibfeed_platform.hot_store.updates import Update
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.redis_settings import RedisSettings, told_or_refused
from ibfeed_platform.spark.rows import KafkaRow
from ibfeed_platform.spark.settings import PASSWORD
from ibfeed_platform.spark.updates import Decoder

_ROUND: Final = 2000  # rows that are written before the next ones are read
# A Redis that restarts is waited for, 63 s in all. Then the task fails, and Spark tries it as often as it is told.
_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.5, *(3.0 for _ in range(20)))
_log: Final = logging.getLogger(__name__)


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
    """

    topics: Topics
    feed: str
    redis: RedisSettings
    contracts: Shared
    changed: Count
    unreadable: Count

    def __call__(self, rows: Iterable[Any]) -> None:
        """Write the rows, which have the columns of ``KafkaRow``. Raises SinkError."""
        decoder = Decoder(self.topics, Keys(self.feed, self.redis.prefix), self.contracts.value)
        store = hot_store(self.redis)
        messages = (KafkaRow(*row) for row in rows)
        while part := list(islice(messages, _ROUND)):
            self.changed.add(sum(message.topic() == self.topics.contracts for message in part))
            write(store, list(self._updates(decoder, part)), self.redis)

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
    for pause_s in (*_PAUSES_S, None):
        try:
            store.write(updates)
        except RedisError as error:
            told = told_or_refused(error, settings)
            if pause_s is None:
                raise SinkError(f"{told}; it has failed for {sum(_PAUSES_S):.0f} s") from None
            sleep(pause_s)
        else:
            return


@functools.cache
def hot_store(settings: RedisSettings) -> HotStore:
    """Return the writer of this process, which has the password. Spark keeps the process for many batches."""
    client = replace(settings, password=os.environ.get(PASSWORD)).client()
    return HotStore(client, HotStoreSettings(settings.expiry_s))
