"""The edge to Kafka: what the publisher needs of a client library, and that of confluent-kafka."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ibfeed_api.feed import Kafka, Topic
from ibfeed_api.names import HEADER_SCHEMA, HEADER_WORKER
from ibfeed_api.records import SCHEMA_CONTRACT
from ibfeed_worker.publish import table, tail
from ibfeed_worker.publish.table import Row
from ibfeed_worker.publish.tail import Question, Tail

_METADATA_S: Final = 2.0  # the connection is made in the background: a slow one is there at the next try
_CREATE_S: Final = 5.0
# What may wait for a broker that is away: five minutes of a full account (100 lines, 2 updates a second each).
_QUEUE_RECORDS: Final = 60_000
_QUEUE_KBYTES: Final = 32 * 1024

Headers = list[tuple[str, str | bytes | None]]
Delivered = Callable[[Any, Any], None]  # error (with ``str()``) or None, and the library's message, which nobody needs
Trouble = Callable[[str, bool], None]  # what happened; whether this producer is beyond repair


class BrokerError(Exception):
    """Kafka can't be used; the text says why and names the servers."""


class Full(Exception):
    """The client's queue is full: the broker does not keep up."""


class Broker(Protocol):
    """One producer's life."""

    def produce(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, delivered: Delivered
    ) -> None:
        """Queue a record; ``delivered`` is called from ``poll``. Never blocks. Raises Full or BrokerError."""

    def poll(self) -> None:
        """Call back for all that has happened. Never blocks."""

    def partitions(self) -> Mapping[str, int]:
        """Every topic's number of partitions. Blocks for at most 2 s. Raises BrokerError."""

    def create(self, topics: Sequence[Topic]) -> None:
        """Create topics; one that is there by now is fine. Blocks for at most 5 s. Raises BrokerError."""

    def tails(self, ticks: Topic, books: Topic, questions: Collection[Question]) -> Mapping[bytes, Tail]:
        """What Kafka has of contracts, by key. Blocks for little more than 2 s, or 4. Raises BrokerError."""

    def provide_table(self, topic: Topic, *, create: bool) -> None:
        """See that a compacted topic is there. Blocks for some seconds at most. Raises BrokerError."""

    def read_table(self, topic: Topic) -> Mapping[bytes, bytes]:
        """The latest value of each key of a compacted topic. Blocks for at most 20 s. Raises BrokerError."""

    def write_table(self, topic: Topic, rows: Sequence[Row]) -> None:
        """Wait until Kafka has acknowledged rows of a compacted topic, 16 s at most. Raises BrokerError."""

    def abandon(self) -> None:
        """Give up what is queued and in flight; their ``delivered`` are still called by ``poll``."""


Connect = Callable[[Kafka, Mapping[str, bytes], str, Trouble], Broker]


def connect(kafka: Kafka, secret: Mapping[str, bytes], client: str, trouble: Trouble) -> Broker:
    """A producer for the feed's Kafka. Returns at once; the connection is made in the background.

    ``secret`` has the keys ``username`` and ``password`` if SASL is asked for, and ``ca.crt`` for a private CA.
    ``trouble`` is called from ``poll``. Raises BrokerError if the settings make no sense.
    """
    return _Confluent(kafka, secret, client, trouble)


def settings(kafka: Kafka, secret: Mapping[str, bytes], client: str) -> dict[str, Any]:
    """librdkafka's configuration. Raises BrokerError if SASL is asked for and the secret lacks a key."""
    found: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": client,
        "security.protocol": kafka.security_protocol,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 250,
        "reconnect.backoff.max.ms": 3000,
        "log_level": 2,  # what goes wrong is told through the error callback; here it would be a line for every try
        "log.connection.close": False,
        "allow.auto.create.topics": False,
    }
    if kafka.security_protocol.startswith("SASL"):
        lacking = [key for key in ("username", "password") if key not in secret]
        if lacking:
            raise BrokerError(
                f"{kafka.security_protocol} needs {' and '.join(lacking)}: add them to the Secret of kafka.secretRef"
            )
        found["sasl.mechanism"] = kafka.sasl_mechanism or "PLAIN"
        found["sasl.username"] = secret["username"].decode()
        found["sasl.password"] = secret["password"].decode()
    if authority := secret.get("ca.crt"):
        found["ssl.ca.pem"] = authority.decode()
    return found


class _Confluent:
    def __init__(self, kafka: Kafka, secret: Mapping[str, bytes], client: str, trouble: Trouble) -> None:
        self._servers = kafka.bootstrap_servers
        self._settings = settings(kafka, secret, client)
        self._trouble = trouble
        try:
            self._producer = Producer(
                {
                    **self._settings,
                    "enable.idempotence": True,
                    "acks": "all",
                    # With more a partition that is just coming up can refuse the first record and take the second, and
                    # then acknowledges the first as one that it has (decision 23).
                    "max.in.flight.requests.per.connection": 1,
                    "linger.ms": kafka.linger_ms,
                    "batch.size": kafka.batch_size,
                    # A record waits as long as it takes; the bounded queue decides what an outage costs.
                    "message.timeout.ms": 0,
                    "queue.buffering.max.messages": _QUEUE_RECORDS,
                    "queue.buffering.max.kbytes": _QUEUE_KBYTES,
                    "error_cb": self._on_error,
                },
                logger=logging.getLogger("librdkafka"),
            )
        except (KafkaException, ValueError, TypeError) as error:
            raise BrokerError(f"Kafka's settings are refused: {_text(error)}") from None

    def produce(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, delivered: Delivered
    ) -> None:
        try:
            # By place: names would make a dictionary for each record. In between: another name for `delivered`, and no
            # timestamp of our own.
            self._producer.produce(topic, value, key, partition, delivered, None, 0, headers)
        except BufferError:
            raise Full from None
        except KafkaException as error:
            raise BrokerError(self._describe(error)) from None

    def poll(self) -> None:
        self._producer.poll(0)

    def partitions(self) -> Mapping[str, int]:
        try:
            found = self._producer.list_topics(timeout=_METADATA_S).topics
        except KafkaException as error:
            raise BrokerError(self._describe(error)) from None
        return {name: len(topic.partitions) for name, topic in found.items() if topic.error is None}

    def create(self, topics: Sequence[Topic]) -> None:
        admin = AdminClient(self._settings, logger=logging.getLogger("librdkafka"))
        wanted = [
            NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=topic.replication_factor)
            for topic in topics
        ]
        for name, future in admin.create_topics(wanted, request_timeout=_CREATE_S).items():
            try:
                future.result(_CREATE_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise BrokerError(f"topic {name} can't be created: {_text(error)}") from None
            except TimeoutError:
                raise BrokerError(f"topic {name} can't be created: no answer from {self._servers}") from None

    def tails(self, ticks: Topic, books: Topic, questions: Collection[Question]) -> Mapping[bytes, Tail]:
        try:
            return tail.read(self._settings, ticks, books, questions)
        except KafkaException as error:
            raise BrokerError(self._describe(error)) from None

    def provide_table(self, topic: Topic, *, create: bool) -> None:
        with self._table_errors():
            table.provide(self._settings, topic, create=create)

    def read_table(self, topic: Topic) -> Mapping[bytes, bytes]:
        with self._table_errors():
            return table.read(self._settings, topic)

    def write_table(self, topic: Topic, rows: Sequence[Row]) -> None:
        worker = str(self._settings["client.id"])
        headers: Headers = [(HEADER_WORKER, worker.encode()), (HEADER_SCHEMA, SCHEMA_CONTRACT.encode())]
        with self._table_errors():
            table.write(self._settings, topic, rows, headers)

    @contextlib.contextmanager
    def _table_errors(self) -> Iterator[None]:
        try:
            yield
        except table.TableError as error:
            raise BrokerError(str(error)) from None
        except KafkaException as error:
            denied = error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
            raise BrokerError(f"{self._describe(error)}{f'; {table.RIGHTS}' if denied else ''}") from None

    def abandon(self) -> None:
        self._producer.purge()

    def _on_error(self, error: KafkaError) -> None:
        self._trouble(self._describe(error), error.fatal())

    def _describe(self, error: KafkaError | KafkaException) -> str:
        return f"{self._servers}: {_text(error)}"


def _text(error: Any) -> str:
    inner = error.args[0] if isinstance(error, KafkaException) and error.args else error
    return inner.str() if isinstance(inner, KafkaError) else str(inner)
