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
