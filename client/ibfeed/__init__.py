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

from ibfeed.errors import (
    Error,
    KafkaRefusedError,
    KafkaUnreachableError,
    MissingExtraError,
    MissingTopicError,
    RecordError,
    UnknownSchemaError,
)
from ibfeed.events import Book, Contract, Event, ExactLevel, Gap, Level, Status, Tick
from ibfeed.frames import to_arrow, to_pandas, to_polars
from ibfeed.handlers import AsyncioQueue, Client, Consumer, EventHandler, Publisher, Queue, forward
from ibfeed.reader import AsyncReader, Reader, aread, read
from ibfeed.stream import Counters, Topics

__all__ = [
    "AsyncReader",
    "AsyncioQueue",
    "Book",
    "Client",
    "Consumer",
    "Contract",
    "Counters",
    "Error",
    "Event",
    "EventHandler",
    "ExactLevel",
    "Gap",
    "KafkaRefusedError",
    "KafkaUnreachableError",
    "Level",
    "MissingExtraError",
    "MissingTopicError",
    "Publisher",
    "Queue",
    "Reader",
    "RecordError",
    "Status",
    "Tick",
    "Topics",
    "UnknownSchemaError",
    "aread",
    "forward",
    "read",
    "to_arrow",
    "to_pandas",
    "to_polars",
]
