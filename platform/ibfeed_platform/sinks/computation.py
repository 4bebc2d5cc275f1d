"""The sink that runs one team's computation each second, and writes its rows to Redis."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from redis.exceptions import RedisError

import ibfeed
from ibfeed_api.backoff import Backoff
from ibfeed_platform.computations.engine import ComputationError, Engine
from ibfeed_platform.computations.library import shipped
from ibfeed_platform.computations.results import ResultError, Row, updates_of
from ibfeed_platform.computations.ticks import TickRow, VolumeMeter, row_of
from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.hot_store.store import HotStore, HotStoreSettings
from ibfeed_platform.sinks.progress import Progress, SinkError
from ibfeed_platform.sinks.redis_settings import RedisSettings, told_or_refused
from ibfeed_platform.sinks.source import KafkaSource
from ibfeed_platform.sinks.values import told as told_of_registry
from ibfeed_platform.ticks import decode_exact

Result = TypeVar("Result")

_FIRST_S: Final = 1.0
_MOST_S: Final = 30.0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class ComputationSettings:
    """One request of one team.

    Args:
        redis: where the rows go. Its ``expiry_s`` counts from the computation.
        team: whose it is.
        name: of the computation; it is part of the rows' keys.
        sql: one SELECT; None: the shipped one of that name.
        window_s: how long a tick stays in the tables, by IB's time.
        every_s: the time from one computation to the next.
        limit_s: a query that takes longer is ended.
        memory_mb: what the tables and the query may take together.
    """

    redis: RedisSettings
    team: str
    name: str
    sql: str | None = None
    window_s: float = 900.0
    every_s: float = 1.0
    limit_s: float = 5.0
    memory_mb: int = 512

    def text(self) -> str:
        """Return the SQL. Raises SinkError if there is none of that name, or a name cannot be part of a key."""
        for what, name in (("team", self.team), ("computation", self.name)):
            if not _NAME.fullmatch(name):
                raise SinkError(f"the {what} is called {name!r}: take lower-case letters, digits, - and _")
        if self.sql is not None:
            return self.sql
        known = shipped()
        if self.name not in known:
            raise SinkError(f"no computation {self.name} is shipped: give its SQL, or name one of {', '.join(known)}")
        return known[self.name]


class ComputationSink:
    """The processor of one computation. It reads all of the feed's ticks, so one process does it.

    A second process computes the same and writes the same; the rows of the later computation stay.
    """

    def __init__(self, settings: ComputationSettings, source: KafkaSource) -> None:
        """Raises SinkError if the SQL cannot be run; nothing of it has run then."""
        self._settings: Final = settings
        self._source: Final = source
        self._keys: Final = Keys(source.feed, settings.redis.prefix)
        try:
            self._engine: Final = Engine(
                settings.text(),
                window_s=settings.window_s,
                limit_s=settings.limit_s,
                memory_mb=settings.memory_mb,
            )
        except ComputationError as error:
            raise SinkError(f"the SQL of {settings.name} is refused: {error}; correct it") from None
        self._client: Final = settings.redis.client()
        self._store: Final = HotStore(self._client, HotStoreSettings(settings.redis.expiry_s))
        self._progress = Progress(rows=0, lag=None, last_event_ms=None, last_write_ms=None, latencies_ms=(), error=None)
        self._pending: list[TickRow] = []
        self._contracts: dict[int, ibfeed.Contract] = {}
        self._begins_again = False
        self._source_fails: str | None = None
        self._counters = ibfeed.Counters()
        self._left_out = (0, "")  # records that cannot be decoded, and why the last one cannot

    @property
    def progress(self) -> Progress:
        """How far it has come. Its lag is not known, for it needs no consumer group."""
        self._note_left_out()
        error = self._progress.error or self._source_fails
        count, cause = self._left_out
        return replace(self._progress, error=error, unreadable=count, unreadable_cause=cause)

    async def run(self) -> None:
        """Compute until cancelled. Raises SinkError when only a person can help."""
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._compute())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._client.close()
            self._engine.close()

    async def _read(self) -> None:
        """Read the feed from the start of the window on, and again from there after Kafka was away."""
        backoff = Backoff(_FIRST_S, _MOST_S)
        while True:
            try:
                await self._read_once(backoff)
            except (ibfeed.KafkaRefusedError, ibfeed.MissingTopicError) as error:
                raise SinkError(str(error)) from None
            except ibfeed.KafkaUnreachableError as error:
                self._source_fails = f"{error}; it is tried again"
            except ibfeed.RegistryUnreachableError as error:
                self._source_fails = told_of_registry(error)
            except ibfeed.RegistryError as error:
                raise SinkError(f"{error}; see spec.kafka.schemaRegistry of the IbFeed") from None
            await asyncio.sleep(backoff.next())

    async def _read_once(self, backoff: Backoff) -> None:
        topics = replace(self._source.topics, books=None, events=None)
        reader = ibfeed.aread(
            self._source.servers,
            feed=self._source.feed,
            start=dt.timedelta(seconds=self._settings.window_s),
            topics=topics,
            skip_unreadable=True,
            config=self._source.config,
            schema_registry=self._source.registry,
        )
        meter = VolumeMeter()
        async with reader:
            self._pending, self._begins_again, self._source_fails = [], True, None
            self._counters = reader.counters
            backoff.reset()
            async for event in reader:
                match event:
                    case ibfeed.Tick():
                        tick = decode_exact(event.record)
                        self._pending.append(row_of(tick, event.contract, meter.traded(tick)))
                    case ibfeed.Contract():
                        self._contracts[event.conid] = event

    def _note_left_out(self) -> None:
        """Keep the count. A reader that begins again reads some records again, so the higher one counts."""
        if self._counters.unreadable > self._left_out[0]:
            self._left_out = self._counters.unreadable, self._counters.unreadable_cause

    async def _compute(self) -> None:
        """Compute at even times. A failure is told, and the computation tried again ever more rarely."""
        backoff = Backoff(self._settings.every_s, _MOST_S)
        while True:
            started = time.monotonic()
            try:
                self._progress = await self._compute_once()
                backoff.reset()
                pause = max(0.0, started + self._settings.every_s - time.monotonic())
            except (ComputationError, ResultError) as error:
                self._progress = replace(self._progress, error=f"{self._settings.name} fails: {error}; correct its SQL")
                pause = backoff.next()
            except RedisError as error:
                self._progress = replace(self._progress, error=told_or_refused(error, self._settings.redis))
                pause = backoff.next()
            await asyncio.sleep(pause)

    async def _compute_once(self) -> Progress:
        pending, self._pending = self._pending, []
        again, self._begins_again = self._begins_again, False
        contracts = list(self._contracts.values())
        now_ms = int(time.time() * 1000)

        def work() -> list[Row]:
            if again:
                self._engine.clear()
            self._engine.add(pending)
            self._engine.set_contracts(contracts)
            return self._engine.compute(now_ms)

        rows = await _in_thread(work)
        await _in_thread(lambda: self._write(rows, now_ms))
        return self._advanced(rows)

    def _write(self, rows: list[Row], now_ms: int) -> None:
        settings = self._settings
        updates = updates_of(rows, self._keys, settings.team, settings.name, now_ms)
        self._store.write(updates)
        self._store.replace_set(self._keys.index(settings.team, settings.name), [update.key for update in updates])

    def _advanced(self, rows: list[Row]) -> Progress:
        now_ms = time.time() * 1000
        times = [at for row in rows if isinstance(at := row.get("event_time"), int)]
        return Progress(
            rows=self._progress.rows + len(rows),
            lag=None,
            last_event_ms=max(times, default=self._progress.last_event_ms),
            last_write_ms=int(now_ms),
            latencies_ms=tuple(now_ms - at for at in times),
            error=None,
        )


async def _in_thread(work: Callable[[], Result]) -> Result:
    """Let a thread do ``work``. A task that is cancelled waits until the thread is done with it."""
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
