"""The edge to Kafka: the publisher's view of a client library, and its implementation by confluent-kafka."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from ibfeed_api.feed import Kafka, RecordFormat, Topic
from ibfeed_api.kafka_security import KafkaCredentials
from ibfeed_api.records import HEADER_SCHEMA, HEADER_WORKER, SCHEMA_CONTRACT
from ibfeed_worker.publish import connections, table, tail
from ibfeed_worker.publish.admin import Admin
from ibfeed_worker.publish.avro import AvroError
from ibfeed_worker.publish.reach import split
from ibfeed_worker.publish.schema_registry import RegistryError, Schemas
from ibfeed_worker.publish.settings import ProducerConfigError, client_settings, producer_settings
from ibfeed_worker.publish.survey import Survey, TopicLimits
from ibfeed_worker.publish.table import Row
from ibfeed_worker.publish.tail import Question, Tail
from ibfeed_worker.publish.trouble import Heard

# The bound for records while a broker is away: five minutes of a full account (100 lines, 2 updates a second each).
QUEUE_RECORDS: Final = 60_000
_QUEUE_KBYTES: Final = 32 * 1024
TOO_LARGE: Final = "larger than the topic takes"

Headers = list[tuple[str, str | bytes | None]]
Delivered = Callable[[Any, Any], None]  # error (with ``code()`` and ``str()``) or None, and the library's message
Hear = Callable[[Heard, bool], None]  # an error of the library; whether this producer is beyond repair


class BrokerError(Exception):
    """Kafka can't be used. The text says why and names the servers."""


class QueueFullError(Exception):
    """The client's queue is full: the broker does not keep up."""


class UnsendableError(Exception):
    """No producer can send the record. The text says why."""


class Broker(Protocol):
    """One producer's life. Its blocking calls are made off the event loop."""

    def produce(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, delivered: Delivered
    ) -> None:
        """Queue a record; ``delivered`` is called from ``poll``. Never blocks.

        Raises QueueFullError, UnsendableError or BrokerError.
        """

    def poll(self) -> None:
        """Call back for all events so far. Never blocks."""

    def survey(self, topics: Sequence[str]) -> Survey:
        """Look at these topics, and which leaders answer. Blocks for at most 5 s. Raises NoMetadataError.

        Before the first look the schemas are registered, if records are Avro. Raises RegistryError.
        """

    def limits(self, topics: Sequence[str]) -> Mapping[str, TopicLimits]:
        """Return each topic's limits, where Kafka lets us know. Blocks for at most 2 s."""

    def denied(self, topics: Sequence[str]) -> frozenset[str]:
        """Return the topics that Kafka says we may not write to. Blocks for at most 2 s."""

    def create(self, topics: Sequence[Topic]) -> None:
        """Create topics; one that is there by now is fine. Blocks for at most 5 s. Raises TopicCreationError."""

    def tails(self, ticks: Topic, books: Topic, questions: Collection[Question]) -> Mapping[bytes, Tail]:
        """Return what Kafka has of contracts, by key. Blocks for little more than 2 s, or 4. Raises BrokerError."""

    def provide_table(self, topic: Topic, *, create: bool) -> None:
        """Ensure that a compacted topic is there. Blocks for some seconds at most. Raises BrokerError."""

    def read_table(self, topic: Topic) -> Mapping[bytes, bytes]:
        """Return the latest value of each key of a compacted topic. Blocks for at most 20 s. Raises BrokerError."""

    def write_table(self, topic: Topic, rows: Sequence[Row]) -> None:
        """Write rows of a compacted topic and wait for Kafka's acknowledgement, 16 s at most. Raises BrokerError."""

    def abandon(self) -> None:
        """Give up the queued records and those in flight; their ``delivered`` are still called by ``poll``.

        A record that has not reached Kafka by now never will.
        """


Connect = Callable[[Kafka, KafkaCredentials, str, Hear, int], Broker]


def connect(
    kafka: Kafka,
    who: KafkaCredentials,
    client: str,
    hear: Hear,
    batch_size: int,
    *,
    trusted: str = "",
    schemas: Schemas | None = None,
) -> Broker:
    """Return a producer for the feed's Kafka at once; the connection is made in the background.

    Args:
        hear: called from ``poll`` and from the blocking calls.
        trusted: the CAs that may sign a token endpoint's certificate, in PEM.
        schemas: those that producers before this one have registered.

    Raises BrokerError if the settings make no sense.
    """
    return _Confluent(kafka, who, client, hear, batch_size, trusted, schemas or Schemas())


class _Confluent:
    """A producer of confluent-kafka."""

    def __init__(
        self,
        kafka: Kafka,
        who: KafkaCredentials,
        client: str,
        hear: Hear,
        batch_size: int,
        trusted: str,
        schemas: Schemas,
    ) -> None:
        self._kafka, self._who, self._schemas = kafka, who, schemas
        self._avro = kafka.format is RecordFormat.AVRO
        self._servers = kafka.bootstrap_servers
        self._hear = hear
        self._ports = {split(server)[1] for server in kafka.bootstrap_servers.split(",")}
        try:
            self._settings = client_settings(kafka, who, client, trusted)
            self._producer = Producer(
                {
                    **producer_settings(kafka, self._settings, batch_size),
                    "queue.buffering.max.messages": QUEUE_RECORDS,
                    "queue.buffering.max.kbytes": _QUEUE_KBYTES,
                    "error_cb": self._on_error,
                },
                logger=logging.getLogger("librdkafka"),
            )
            self._admin = Admin(self._settings, lambda heard: hear(heard, False))
        except ProducerConfigError as error:
            raise BrokerError(str(error)) from None
        except (KafkaException, ValueError, TypeError) as error:
            raise BrokerError(
                f"Kafka's settings are refused: {who.scrub(_text(error))}; correct kafka.config"
            ) from None

    def produce(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, delivered: Delivered
    ) -> None:
        try:
            if self._avro:
                value = self._schemas.encode(topic, value)
            # Arguments by place, since names would make a dictionary for each record. Between them: another name for
            # `delivered`, and no timestamp of our own.
            self._producer.produce(topic, value, key, partition, delivered, None, 0, headers)
        except BufferError:
            raise QueueFullError from None
        except AvroError as error:
            raise UnsendableError(str(error)) from None
        except KafkaException as error:
            if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise UnsendableError(TOO_LARGE) from None
            raise BrokerError(self._describe(error)) from None

    def poll(self) -> None:
        try:
            self._producer.poll(0)
        except KafkaException as error:  # fatal errors are raised here, and not told to the error callback
            self._on_error(error.args[0])

    def survey(self, topics: Sequence[str]) -> Survey:
        self._schemas.register(self._kafka, self._who)
        found = self._admin.survey(topics)
        self._ports |= {split(address)[1] for address in found.brokers.values()}
        return found

    def limits(self, topics: Sequence[str]) -> Mapping[str, TopicLimits]:
        return self._admin.limits(topics)

    def denied(self, topics: Sequence[str]) -> frozenset[str]:
        return self._admin.denied(topics)

    def create(self, topics: Sequence[Topic]) -> None:
        self._admin.create(topics)

    def tails(self, ticks: Topic, books: Topic, questions: Collection[Question]) -> Mapping[bytes, Tail]:
        try:
            return tail.read(self._settings, ticks, books, questions, self._json)
        except KafkaException as error:
            raise BrokerError(self._describe(error)) from None

    def provide_table(self, topic: Topic, *, create: bool) -> None:
        with self._table_errors():
            table.provide(self._settings, topic, create=create)

    def read_table(self, topic: Topic) -> Mapping[bytes, bytes]:
        with self._table_errors():
            return {key: self._json(value) for key, value in table.read(self._settings, topic).items()}

    def write_table(self, topic: Topic, rows: Sequence[Row]) -> None:
        worker = str(self._settings["client.id"])
        headers: Headers = [(HEADER_WORKER, worker.encode()), (HEADER_SCHEMA, SCHEMA_CONTRACT.encode())]
        with self._table_errors():
            if self._avro:
                self._schemas.register(self._kafka, self._who)
                rows = [
                    (partition, key, None if value is None else self._schemas.encode(topic.name, value))
                    for partition, key, value in rows
                ]
            table.write(self._settings, topic, rows, headers)

    def _json(self, value: bytes) -> bytes:
        """Return a record's value as JSON. Raises AvroError."""
        return self._schemas.decode(self._kafka, self._who, value)

    @contextlib.contextmanager
    def _table_errors(self) -> Iterator[None]:
        try:
            yield
        except (AvroError, RegistryError, table.TableError) as error:
            raise BrokerError(str(error)) from None
        except KafkaException as error:
            denied = error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
            raise BrokerError(f"{self._describe(error)}{f'; {table.RIGHTS}' if denied else ''}") from None

    def abandon(self) -> None:
        self._producer.purge()
        connections.reset(self._ports)

    def _on_error(self, error: KafkaError) -> None:
        self._hear(Heard(error.name(), error.str()), error.fatal())

    def _describe(self, error: KafkaError | KafkaException) -> str:
        return f"{self._servers}: {_text(error)}"


def _text(error: Any) -> str:
    inner = error.args[0] if isinstance(error, KafkaException) and error.args else error
    return inner.str() if isinstance(inner, KafkaError) else str(inner)
