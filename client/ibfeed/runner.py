"""``ibfeed run``: what a configuration declares is built and run."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import msgspec

from ibfeed.configuration import AsyncioTable, Configuration, ConnectorTable, FeedTable, HandlerTable, KafkaTable
from ibfeed.connectors.normaliser import Normaliser
from ibfeed.errors import ConfigurationError
from ibfeed.handlers import Client, EventHandler
from ibfeed.queues.in_process import AsyncioQueue
from ibfeed.queues.kafka_topic import KafkaQueue
from ibfeed.queues.protocols import Publisher, Queue
from ibfeed.queues.redis_stream import RedisQueue
from ibfeed.reader import aread
from ibfeed.registry import SchemaRegistry
from ibfeed.stream import Topics

_LAST_EVENTS_S: Final = 10.0  # for the handler, after the source was told to end

Kind = TypeVar("Kind")


async def run(configuration: Configuration) -> None:
    """Run until the source ends, something fails, or the task is cancelled.

    A task that is cancelled ends the source first, and gives the handler 10 s for the events that are in the queue.

    Raises:
        Error: of the configuration, the source or the queue.
        Exception: what the handler raises.
    """
    handler = None if configuration.handler is None else _handler(configuration.handler)
    source = _source(configuration)
    queue = _queue(configuration)
    try:
        publishing = None if source is None else asyncio.create_task(source(queue))
        handling = None if handler is None else asyncio.create_task(Client(queue, handler).run())
        await _both(publishing, handling)
    finally:
        await queue.release()


async def _both(publishing: asyncio.Task[None] | None, handling: asyncio.Task[None] | None) -> None:
    """Wait until both ends are done, or one fails."""
    tasks = [task for task in (publishing, handling) if task is not None]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        if publishing is not None:
            publishing.cancel()
            await asyncio.wait([publishing])
            if handling is not None:  # the queue is closed now
                await asyncio.wait([handling], timeout=_LAST_EVENTS_S)
        if handling is not None:
            handling.cancel()
            await asyncio.wait([handling])


def _source(configuration: Configuration) -> Callable[[Publisher], Coroutine[Any, Any, None]] | None:
    """Return what publishes events until its end, and then closes the queue."""
    if configuration.connector is not None:
        return _connector(configuration.connector)
    if configuration.feed is not None:
        return _feed(configuration.feed)
    return None


def _connector(table: ConnectorTable) -> Callable[[Publisher], Coroutine[Any, Any, None]]:
    module = importlib.import_module("ibfeed.connectors.connector")  # it needs an extra
    normaliser = _built("connector.normaliser", table.normaliser, table.settings, Normaliser)  # type: ignore[type-abstract]
    return lambda queue: module.Connector([normaliser], queue).run()


def _feed(table: FeedTable) -> Callable[[Publisher], Coroutine[Any, Any, None]]:
    unknown = sorted(set(table.topics) - set(inspect.signature(Topics).parameters))
    if unknown:
        raise ConfigurationError(f"feed.topics has {unknown[0]}: its keys are ticks, books, events and contracts")
    registry = table.schema_registry
    reader = aread(
        table.servers,
        feed=table.feed,
        group=table.group,
        symbols=table.symbols,
        roots=table.roots,
        topics=Topics(**table.topics),
        config=table.config,
        schema_registry=None if registry is None else SchemaRegistry(**msgspec.structs.asdict(registry)),
    )

    async def forward_all(queue: Publisher) -> None:
        try:
            async with reader:
                async for event in reader:
                    await queue.publish(event)
        finally:
            await queue.close()

    return forward_all


def _queue(configuration: Configuration) -> Queue:
    table = configuration.queue
    if isinstance(table, AsyncioTable):
        return AsyncioQueue(table.room)
    if isinstance(table, KafkaTable):
        return KafkaQueue(table.servers, table.topic, table.group, table.room, table.config)
    return RedisQueue(table.url, table.stream, table.group, table.room)


def _handler(table: HandlerTable) -> EventHandler:
    return _built("handler.type", table.type, table.settings, EventHandler)


def _built(place: str, path: str, settings: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """Return an object of a class that an import path names. Raises ConfigurationError."""
    found = _imported(place, path)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise ConfigurationError(f"{place}: {path} is no subclass of {kind.__module__}.{kind.__name__}")
    try:
        inspect.signature(found).bind(**settings)
    except TypeError as error:
        raise ConfigurationError(f"{place}: the settings are not those of {path}: {error}") from None
    try:
        return found(**settings)
    except ValueError as error:
        raise ConfigurationError(f"{place}: {path} refuses its settings: {error}") from None


def _imported(place: str, path: str) -> Any:
    module, colon, name = path.partition(":")
    if not colon:
        raise ConfigurationError(f"{place}: {path} is no import path; write it as module:Class")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"{place}: {path} cannot be imported: {error}; put the module beside the file, or install it"
        ) from None
