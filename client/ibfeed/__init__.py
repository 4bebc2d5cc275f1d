"""Read the futures data that ibfeed writes to Kafka.

::

    import ibfeed

    for event in ibfeed.read("kafka:9092", feed="energy"):
        match event:
            case ibfeed.Tick():
                print(event.symbol, event.price)
            case ibfeed.Gap():
                print("missing:", event.symbol, event.start, event.end, event.reason)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ibfeed.books import OrderBooks
    from ibfeed.errors import (
        ConfigurationError,
        Error,
        FrameError,
        KafkaRefusedError,
        KafkaUnreachableError,
        MissingExtraError,
        MissingTopicError,
        RecordError,
        RedisRefusedError,
        RedisUnreachableError,
        RegistryError,
        RegistryUnreachableError,
        UnknownSchemaError,
        VenueUnreachableError,
    )
    from ibfeed.events import Bar, Book, BookChange, Contract, Event, ExactLevel, Gap, Level, Status, Tick, Trade
    from ibfeed.frames import to_arrow, to_pandas, to_polars
    from ibfeed.handlers import Client, EventHandler, forward
    from ibfeed.queues.in_process import AsyncioQueue
    from ibfeed.queues.protocols import Consumer, Publisher, Queue
    from ibfeed.reader import AsyncReader, Reader, aread, read
    from ibfeed.registry import SchemaRegistry
    from ibfeed.stream import Counters, Topics

__all__ = [
    "AsyncReader",
    "AsyncioQueue",
    "Bar",
    "Book",
    "BookChange",
    "Client",
    "ConfigurationError",
    "Consumer",
    "Contract",
    "Counters",
    "Error",
    "Event",
    "EventHandler",
    "ExactLevel",
    "FrameError",
    "Gap",
    "KafkaRefusedError",
    "KafkaUnreachableError",
    "Level",
    "MissingExtraError",
    "MissingTopicError",
    "OrderBooks",
    "Publisher",
    "Queue",
    "Reader",
    "RecordError",
    "RedisRefusedError",
    "RedisUnreachableError",
    "RegistryError",
    "RegistryUnreachableError",
    "SchemaRegistry",
    "Status",
    "Tick",
    "Topics",
    "Trade",
    "UnknownSchemaError",
    "VenueUnreachableError",
    "aread",
    "forward",
    "read",
    "to_arrow",
    "to_pandas",
    "to_polars",
]

# The module of each name. A name is imported when it is first asked for: Kafka's client and asyncio take longer to
# import than most commands of ``ibfeed`` take to run.
_MODULES: Final = {
    "books": ("OrderBooks",),
    "errors": (
        "ConfigurationError",
        "Error",
        "FrameError",
        "KafkaRefusedError",
        "KafkaUnreachableError",
        "MissingExtraError",
        "MissingTopicError",
        "RecordError",
        "RedisRefusedError",
        "RedisUnreachableError",
        "RegistryError",
        "RegistryUnreachableError",
        "UnknownSchemaError",
        "VenueUnreachableError",
    ),
    "events": (
        "Bar",
        "Book",
        "BookChange",
        "Contract",
        "Event",
        "ExactLevel",
        "Gap",
        "Level",
        "Status",
        "Tick",
        "Trade",
    ),
    "frames": ("to_arrow", "to_pandas", "to_polars"),
    "handlers": ("Client", "EventHandler", "forward"),
    "queues.in_process": ("AsyncioQueue",),
    "queues.protocols": ("Consumer", "Publisher", "Queue"),
    "reader": ("AsyncReader", "Reader", "aread", "read"),
    "registry": ("SchemaRegistry",),
    "stream": ("Counters", "Topics"),
}
_HOMES: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
