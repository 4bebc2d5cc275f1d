"""A part of a batch on its way to Redis: what is written, waited for, and given up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.exceptions import AuthenticationError, BusyLoadingError, ConnectionError, NoPermissionError  # noqa: A004

import ibfeed
from ibfeed import RegistryUnreachableError
from ibfeed_platform.hot_store.store import HotStore
from ibfeed_platform.hot_store.updates import Update
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.redis_settings import RedisSettings
from ibfeed_platform.spark import tasks
from ibfeed_platform.spark.tasks import PartWriter, write
from support.reader_records import FakeMessage, contract, tick

REDIS = RedisSettings("redis://redis:6379/0", "writer")


@dataclass
class Store:
    """A hot store that fails as it is told, and then takes everything."""

    failures: list[Exception] = field(default_factory=list)
    written: list[Update] = field(default_factory=list)

    def write(self, updates: Iterable[Update]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.written += updates


@dataclass
class Count:
    total: int = 0

    def add(self, term: int) -> None:
        self.total += term


def row(message: FakeMessage) -> tuple[Any, ...]:
    headers = [SimpleNamespace(key=name, value=value) for name, value in message.headers()]
    value = None if message.value() is None else bytearray(message.value() or b"")
    return (message.topic(), 0, message.offset(), bytearray(message.key()), value, dt.datetime.now(), headers)  # noqa: DTZ005


def waits(store: Store) -> list[float]:
    pauses: list[float] = []
    write(cast("HotStore", store), [], REDIS, pauses.append)
    return pauses


def test_rows_become_updates_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store([ConnectionError("reset")])
    monkeypatch.setattr(tasks, "hot_store", lambda _: store)
    changed, unreadable = Count(), Count()
    writer = PartWriter(ibfeed.Topics(), "energy", REDIS, cast("Any", SimpleNamespace(value={})), changed, unreadable)
    writer(row(message) for message in (tick(1), tick(2), contract(), tick(schema="ticklast/9")))
    assert [update.fields["size"] for update in store.written] == ["1", "2"]
    assert (changed.total, unreadable.total) == (1, 1)


def test_redis_that_restarts_is_waited_for_with_growing_pauses() -> None:
    pauses = waits(Store([ConnectionError("refused"), BusyLoadingError("loading"), ConnectionError("reset")]))
    assert len(pauses) == 3
    assert pauses == sorted(pauses)


def test_redis_that_stays_away_ends_the_task() -> None:
    with pytest.raises(SinkError, match=r"refused.* has failed for 63 s"):
        waits(Store([ConnectionError("refused")] * 100))


def test_registry_that_comes_back_is_waited_for() -> None:
    failures = [RegistryUnreachableError("no answer")] * 3
    pauses: list[float] = []

    def read() -> str:
        if failures:
            raise failures.pop()
        return "read"

    assert tasks.with_registry(read, pauses.append) == "read"
    assert len(pauses) == 3
    failures += [RegistryUnreachableError("no answer")] * 100
    with pytest.raises(SinkError, match=r"no answer; .*the records wait in Kafka; it has failed for 63 s"):
        tasks.with_registry(read, pauses.append)


@pytest.mark.parametrize(("error", "told"), [(AuthenticationError, "correct user"), (NoPermissionError, "rights")])
def test_refusal_is_not_tried_again(error: type[Exception], told: str) -> None:
    store = Store([error("no")])
    with pytest.raises(SinkError, match=told):
        waits(store)
    assert not store.failures
