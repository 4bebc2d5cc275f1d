"""The sink to ClickHouse. ClickHouse reads Kafka itself; the sink makes its tables, and watches it.

So there is no record in this process. Its progress comes from ClickHouse's tables and from the groups' offsets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ibfeed.clickhouse import (
    IN_COLLECTION,
    Access,
    ClickHouseRefusedError,
    ClickHouseUnreachableError,
    Layout,
    LayoutError,
    Observation,
    Server,
    findings,
    read_categories,
)
from ibfeed_platform.sinks.progress import Progress, SinkError
from ibfeed_platform.sinks.source import KafkaSource

LOOK_S: Final = 5.0
PAUSE_S: Final = (1.0, 60.0)  # after the first failure, and at most; it doubles
_NOTHING: Final = Progress(0, None, None, None, (), None)
# These would have to stand in a table's definition, which everybody reads who may see the table.
_SECRET: Final = ("sasl.", "ssl.")
_PROTOCOL: Final = "security.protocol"
_PLAIN: Final = "PLAINTEXT"


@dataclass(frozen=True)
class ClickHouseSettings:
    """The ClickHouse of a sink.

    Args:
        url: of its HTTP interface, such as ``http://clickhouse:8123``.
        ttl_days: days that rows stay, 1 to 90.
        collection: a named collection of ClickHouse with more of Kafka's settings; needed for a secured Kafka.
    """

    url: str
    database: str = "ibfeed"
    user: str = "default"
    password: str = field(default="", repr=False)
    ttl_days: int = 7
    collection: str = ""


class ClickHouseSink:
    """Makes the tables of a feed, and watches how far ClickHouse has come."""

    def __init__(self, settings: ClickHouseSettings, source: KafkaSource) -> None:
        """Raise SinkError for settings that cannot be carried out."""
        secured = source.config.get(_PROTOCOL, _PLAIN) != _PLAIN or any(map(_is_secret, source.config))
        if secured and not settings.collection:
            raise SinkError(
                "ClickHouse reads Kafka itself, and a table's definition is no place for a password:"
                " make a named collection in ClickHouse with Kafka's settings, and name it"
            )
        try:
            self._layout: Final = Layout(
                source.servers,
                settings.database,
                source.topics,
                source.feed,
                source.group,
                settings.ttl_days,
                settings.collection,
                _registry(settings, source),
            )
            self._server: Final = Server(Access(settings.url, settings.user, settings.password))
        except LayoutError as error:
            raise SinkError(str(error)) from None
        self._kafka: Final = source.config
        self._first: int | None = None  # records that were written before this process began
        self._progress = _NOTHING

    @property
    def progress(self) -> Progress:
        """How far ClickHouse has come, as it was seen last."""
        return self._progress

    async def run(self) -> None:
        """Make the tables, and watch until cancelled. Raises SinkError when only a person can help."""
        pause, applied = PAUSE_S[0], False
        try:
            while True:
                try:
                    if not applied:
                        await asyncio.to_thread(self._server.apply, self._layout)
                        applied = True
                    seen = await asyncio.to_thread(self._server.observe, self._layout, self._kafka)
                    latencies = await asyncio.to_thread(self._server.latencies, self._layout, LOOK_S)
                except ClickHouseUnreachableError as error:
                    self._progress = replace(self._progress, lag=None, latencies_ms=(), error=str(error))
                    applied = False  # it may come back empty
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, PAUSE_S[1])
                    continue
                except ClickHouseRefusedError as error:
                    raise SinkError(str(error)) from None
                pause = PAUSE_S[0]
                self._progress = self._after(seen, latencies)
                applied = not seen.outstanding
                await asyncio.sleep(LOOK_S)
        finally:
            self._server.close()

    def _after(self, seen: Observation, latencies: Sequence[float]) -> Progress:
        """Return the progress after a look."""
        done = sum(one.done for one in seen.reach.values()) if seen.reach else None
        if self._first is None:
            self._first = done
        former = self._progress
        rows = former.rows if done is None or self._first is None else done - self._first
        dated = [seen.rows[name].newest_ms for name in ("market_tick", "order_book") if name in seen.rows]
        newest = [ms for ms in dated if ms is not None]
        # A record that cannot be stored stays in its table for days, and keeps no other one from being written.
        failing = replace(seen, rejected=0, problems=())
        wrong = findings(self._layout, failing, read_categories(self._layout))
        return Progress(
            rows=rows,
            lag=seen.lag,
            last_event_ms=max(newest, default=former.last_event_ms),
            last_write_ms=int(time.time() * 1000) if rows > former.rows else former.last_write_ms,
            latencies_ms=tuple(latencies),
            error="; ".join(f"{one.cause}: {one.remedy}" for one in wrong) or None,
            unreadable=seen.rejected,
            unreadable_cause=f"{seen.problems[0]}; see table rejected" if seen.problems else "",
        )


def _registry(settings: ClickHouseSettings, source: KafkaSource) -> str:
    """Return where ClickHouse finds the schemas; empty: it reads JSON. Raises SinkError."""
    if not source.avro or source.registry is None:
        return ""
    if not source.registry.username:
        return source.registry.url
    if not settings.collection:
        raise SinkError(
            "the schema registry asks for a password, and a table's definition is no place for it: make a named"
            " collection in ClickHouse whose format_avro_schema_registry_url holds user and password, and name it"
        )
    return IN_COLLECTION


def _is_secret(name: str) -> bool:
    return name.startswith(_SECRET)
