"""The sink that keeps the hot store in Redis up to date."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from ibfeed import RegistryUnreachableError
from ibfeed.records import FeedEvent
from ibfeed_api.backoff import Backoff
from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.hot_store.store import HotStore, HotStoreSettings
from ibfeed_platform.hot_store.updates import Origin, Update, book_update, status_update, tick_update
from ibfeed_platform.sinks import refusals
from ibfeed_platform.sinks.consumer import GroupConsumer, Record
from ibfeed_platform.sinks.contracts import ContractTable
from ibfeed_platform.sinks.progress import Progress
from ibfeed_platform.sinks.redis_settings import RedisSettings, told_or_refused
from ibfeed_platform.sinks.source import KafkaSource
from ibfeed_platform.sinks.values import told as told_of_registry

_LOOK_S: Final = 1.0
_FIRST_S: Final = 0.2
_MOST_S: Final = 5.0


class RedisSink:
    """The processor that writes a feed's latest values to Redis. Several of a group share the partitions.

    Each partition is read from ``expiry_s`` ago on: all older values have expired, and what Redis may have lost is
    among the younger ones. Writing a value again changes nothing.
    """

    def __init__(self, settings: RedisSettings, source: KafkaSource) -> None:
        self._settings: Final = settings
        self._source: Final = source
        self._progress = Progress(rows=0, lag=None, last_event_ms=None, last_write_ms=None, latencies_ms=(), error=None)

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return self._progress

    async def run(self) -> None:
        """Carry records until cancelled. Raises SinkError when only a person can help."""
        stop = threading.Event()
        work = asyncio.create_task(asyncio.to_thread(self._carry, stop))
        try:
            await asyncio.shield(work)
        finally:
            stop.set()
            await asyncio.wait([work])

    def _carry(self, stop: threading.Event) -> None:
        carrier = _Carrier(self._settings, self._source)
        try:
            while not stop.is_set():
                self._progress = carrier.step(self._progress)
        finally:
            carrier.close()


class _Carrier:
    """The connections of one run. Its calls block, and are made by one thread."""

    def __init__(self, settings: RedisSettings, source: KafkaSource) -> None:
        """Raises SinkError."""
        self._settings: Final = settings
        self._servers: Final = source.servers
        self._keys: Final = Keys(source.feed, settings.prefix)
        self._redis: Final = settings.client()
        self._store: Final = HotStore(self._redis, HotStoreSettings(settings.expiry_s))
        self._backoff: Final = Backoff(_FIRST_S, _MOST_S)
        self._retry_at: float | None = None  # when what fails is tried again
        self._instance: str | None = None  # of Redis
        self._look_at = 0.0
        self._contracts: Final = ContractTable(source)
        self._loaded = False
        self._consumer: Final = GroupConsumer(source, ("ticks", "books", "events"), settings.expiry_s)

    def step(self, before: Progress) -> Progress:
        """Carry the next batch, or wait a moment for one. Raises SinkError."""
        try:
            batch = self._consumer.fetch()
            if self._retry_at is not None:
                self._recover()
                return before
            if self._redis_is_another():
                self._consumer.rewind()
                return before
            # Before the first tick, for the units of a quiet contract have no second chance.
            self._loaded = self._loaded or self._contracts.load()
            if not self._loaded:
                self._wait()
                return replace(
                    before, error=f"Kafka at {self._servers} did not give the contracts within 5 s; it is tried again"
                )
            self._contracts.follow()
            if not batch.ends:
                return replace(before, lag=self._consumer.lag, error=self._consumer.trouble)
            self._store.write(self._update(record) for record in batch.records)
            self._consumer.confirm(batch)
        except RedisError as error:
            told = told_or_refused(error, self._settings)
            self._wait()
            return replace(before, error=told)
        except KafkaException as error:
            self._wait()
            return replace(before, error=refusals.trouble_of(error.args[0], self._servers))
        except RegistryUnreachableError as error:
            self._loaded = False  # what was read of the contracts may lack one
            self._wait()
            return replace(before, error=told_of_registry(error))
        self._backoff.reset()
        return self._advanced(before, batch.records)

    def close(self) -> None:
        """Leave the group and release the connections."""
        self._consumer.close()
        self._contracts.close()
        self._redis.close()

    def _wait(self) -> None:
        """Fetch no records until the next try."""
        self._retry_at = time.monotonic() + self._backoff.next()
        self._consumer.pause()

    def _recover(self) -> None:
        """Go on from the start of the window if it is time to, and Redis answers. Raises RedisError, KafkaException."""
        if self._retry_at is not None and time.monotonic() >= self._retry_at:
            self._instance = self._store.instance()
            self._consumer.rewind()
            self._retry_at = None

    def _redis_is_another(self) -> bool:
        """Return whether Redis has restarted, or another one has taken over. Raises RedisError.

        The client library connects again in silence, so a failing call does not tell.
        """
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_S
        before, self._instance = self._instance, self._store.instance()
        return before not in (None, self._instance)

    def _update(self, record: Record) -> Update:
        value = record.value
        if isinstance(value, FeedEvent):
            return status_update(record.raw, self._keys)
        origin = Origin(record.epoch or 0, record.worker, record.partition, record.offset)
        of_kind = tick_update if record.kind == "ticks" else book_update
        return of_kind(record.raw, origin, self._contracts.get(value.conid), self._keys)

    def _advanced(self, before: Progress, records: Sequence[Record]) -> Progress:
        now_ms = time.time() * 1000
        times = [
            (record.value.event_time, record.repeated) for record in records if not isinstance(record.value, FeedEvent)
        ]
        newest = max((at for at, _ in times), default=0)
        return Progress(
            rows=before.rows + len(records),
            lag=self._consumer.lag,
            last_event_ms=max(newest, before.last_event_ms or 0) or None,
            last_write_ms=int(now_ms),
            latencies_ms=tuple(now_ms - at for at, again in times if not again),
            error=self._consumer.trouble,
            unreadable=self._consumer.counters.unreadable,
            unreadable_cause=self._consumer.counters.unreadable_cause,
        )


__all__ = ["RedisSettings", "RedisSink"]
