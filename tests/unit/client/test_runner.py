"""What a configuration declares is built and run, and its errors say what to do."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import ibfeed
from ibfeed import runner
from ibfeed.configuration import AsyncioTable, Configuration, ConnectorTable, FeedTable, HandlerTable, RegistryTable
from support.queue_events import trade


class Desk(ibfeed.EventHandler):
    """What ``desk`` has for the runner."""

    seen: list[int]
    fails_at = -1

    def __init__(self, limit: int = 0) -> None:
        if limit < 0:
            raise ValueError("limit is negative")

    async def on_trade(self, trade: ibfeed.Trade) -> None:
        self.seen.append(trade.seq)
        await asyncio.sleep(0)
        if trade.seq == self.fails_at:
            raise ZeroDivisionError


@pytest.fixture(autouse=True)
def _desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Desk.seen, Desk.fails_at = [], -1
    module = types.ModuleType("desk")
    module.__dict__.update(Desk=Desk, number=3)
    monkeypatch.setitem(__import__("sys").modules, "desk", module)
    yield


def configuration(type_: str = "desk:Desk", **settings: Any) -> Configuration:
    return Configuration(feed=FeedTable(servers="kafka:9092"), handler=HandlerTable(type=type_, settings=settings))


def publish(monkeypatch: pytest.MonkeyPatch, count: int, *, then_wait: bool = False) -> asyncio.Event:
    """Put a source in the place of the feed's. The event is set once all is published."""
    published = asyncio.Event()

    async def source(queue: ibfeed.Publisher) -> None:
        try:
            for number in range(count):
                await queue.publish(trade(number))
            published.set()
            if then_wait:
                await asyncio.Event().wait()
        finally:
            await queue.close()

    monkeypatch.setattr(runner, "_feed", lambda _: source)
    return published


async def test_events_of_the_source_reach_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, 5)
    await asyncio.wait_for(runner.run(configuration(limit=3)), 10)
    assert Desk.seen == [0, 1, 2, 3, 4]


async def test_cancelled_run_handles_what_is_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    published = publish(monkeypatch, 100, then_wait=True)
    running = asyncio.create_task(runner.run(configuration()))
    await asyncio.wait_for(published.wait(), 10)
    assert len(Desk.seen) < 100
    running.cancel()
    await asyncio.wait([running], timeout=10)
    assert running.cancelled()
    assert len(Desk.seen) == 100


async def test_error_of_the_handler_ends_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    Desk.fails_at = 2
    publish(monkeypatch, 5, then_wait=True)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(runner.run(configuration()), 10)
    assert Desk.seen == [0, 1, 2]


async def test_error_of_the_handler_ends_a_source_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    Desk.fails_at = 2
    publish(monkeypatch, 50)
    small = msgspec.structs.replace(configuration(), queue=AsyncioTable(room=1))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(runner.run(small), 10)


@pytest.mark.parametrize(
    ("path", "settings", "error"),
    [
        ("desk", {}, "handler.type: desk is no import path; write it as module:Class"),
        ("nowhere:Desk", {}, "nowhere:Desk cannot be imported: No module named 'nowhere'; put the module beside"),
        ("desk:Dask", {}, "desk:Dask cannot be imported"),
        ("desk:number", {}, "desk:number is no subclass of ibfeed.handlers.EventHandler"),
        ("desk:Desk", {"limits": 1}, "the settings are not those of desk:Desk: got an unexpected keyword"),
        ("desk:Desk", {"limit": -1}, "desk:Desk refuses its settings: limit is negative"),
    ],
)
async def test_handler_that_cannot_be_built_is_said(path: str, settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ibfeed.ConfigurationError, match=error.replace(".", r"\.")):
        await runner.run(configuration(path, **settings))


async def test_normaliser_that_cannot_be_built_is_said() -> None:
    table = ConnectorTable(normaliser="ibfeed.connectors.kraken:Kraken", settings={"symbols": [], "channels": ["x"]})
    with pytest.raises(ibfeed.ConfigurationError, match="refuses its settings: Kraken's channels here are"):
        await runner.run(Configuration(connector=table, handler=HandlerTable(type="desk:Desk")))


def test_feed_in_avro_is_read_with_its_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(runner, "aread", lambda _, **more: asked.update(more))
    runner._feed(FeedTable(servers="kafka:9092", schema_registry=RegistryTable("https://r", "desk", "secret")))
    assert asked["schema_registry"] == ibfeed.SchemaRegistry("https://r", "desk", "secret")


async def test_topic_of_a_kind_that_is_not_there_is_said() -> None:
    table = FeedTable(servers="kafka:9092", topics={"tick": "x"})
    with pytest.raises(ibfeed.ConfigurationError, match=r"feed\.topics has tick: its keys are ticks"):
        await runner.run(Configuration(feed=table, handler=HandlerTable(type="desk:Desk")))
