"""The edge to Kafka for a recorder: all partitions of its topics, from the offsets that it names."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ibfeed.errors import KafkaRefusedError, KafkaUnreachableError, MissingTopicError, RecordingError
from ibfeed.kafka import CONNECT_S, EARLIEST, FETCHING, LATEST, offsets_at, retried
from ibfeed.offsets import AWAY, PASSING
from ibfeed.recording.records import Place

_log: Final = logging.getLogger("ibfeed.recording")
_POLL_S: Final = 0.1
_BATCH: Final = 256  # records; larger batches fall out of the processor's cache


@dataclass(frozen=True, slots=True)
class Kafka:
    """A Kafka, and how to talk to it.

    Args:
        servers: bootstrap servers, such as ``kafka:9092``.
        config: further properties of librdkafka. They may hold secrets, so they are not shown.
    """

    servers: str
    config: Mapping[str, str] = field(default_factory=dict, repr=False)

    def properties(self, **own: Any) -> dict[str, Any]:
        """Return the properties for a client, with some of its own."""
        return {"bootstrap.servers": self.servers, "log_level": 3, **self.config, **own}

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn errors of the client library into ours: KafkaUnreachableError or KafkaRefusedError."""
        try:
            yield
        except KafkaException as error:
            cause = error.args[0]
            if isinstance(cause, KafkaError) and cause.code() in AWAY:
                raise KafkaUnreachableError(
                    f"Kafka at {self.servers} does not answer: {cause.str()}; check the address, the addresses that its"
                    " brokers advertise, and the security properties"
                ) from None
            said = cause.str() if isinstance(cause, KafkaError) else str(cause)
            raise KafkaRefusedError(f"Kafka at {self.servers} refuses: {said}") from None
        except (ValueError, TypeError) as error:
            raise KafkaRefusedError(f"the properties for Kafka are refused: {error}; correct them") from None


class RecordSource:
    """The records of some topics. A Kafka that goes away meanwhile is waited for; librdkafka backs off by itself."""

    def __init__(
        self, kafka: Kafka, topics: Collection[str], kept: Mapping[Place, int], start_ms: int | None, *, once: bool
    ) -> None:
        """Connect, and find where each partition starts.

        Args:
            kafka: where the topics are.
            topics: their names.
            kept: by partition, the offset to go on from.
            start_ms: from when on the other partitions are read, in ms since 1970; None: from their beginning.
            once: whether it ends where the topics end now.

        Raises:
            KafkaUnreachableError: no broker answers.
            KafkaRefusedError: Kafka refuses.
            MissingTopicError: a topic is not there.
            RecordingError: a topic was made again since it was recorded.
        """
        self._kafka: Final = kafka
        with kafka.errors():
            own: dict[str, Any] = {
                **FETCHING,
                "group.id": "ibfeed-record",  # a must, although nothing is kept under it
                "enable.auto.commit": False,
                "auto.offset.reset": "error",  # records that are gone must not be passed over in silence
                "enable.partition.eof": once,
            }
            self._consumer: Final = Consumer(kafka.properties(**own), logger=logging.getLogger("ibfeed.librdkafka"))
            places = retried(lambda: self._places(topics))
            self._ends: Final = retried(lambda: offsets_at(self._consumer, places, LATEST))
            self._open: Final = set(places) if once else None
            firsts = retried(lambda: offsets_at(self._consumer, places, EARLIEST))
            wanted = firsts
            if start_ms is not None:
                wanted = retried(lambda: offsets_at(self._consumer, places, start_ms))
            self.starts: Final = {
                place: self._start(place, kept.get(place), wanted[place], firsts[place]) for place in places
            }
            self._consumer.assign([TopicPartition(*place, offset) for place, offset in self.starts.items()])

    def fetch(self) -> list[Message]:
        """Return the records that are there, or that come within ``_POLL_S``. Raises KafkaRefusedError."""
        batch = self._consumer.consume(_BATCH, timeout=0)
        if not batch:
            message = self._consumer.poll(_POLL_S)
            batch = [] if message is None else [message, *self._consumer.consume(_BATCH - 1, timeout=0)]
        if not any(map(Message.error, batch)):  # as a rule; a call of ours for each record would cost more
            return batch
        return [message for message in batch if not self._is_end(message)]

    @property
    def finished(self) -> bool:
        """Whether all was read that the topics held at the start. Never, if it does not end."""
        return self._open is not None and not self._open

    def _is_end(self, message: Message) -> bool:
        """Return whether this is no record but the news that a partition has no more. Raises KafkaRefusedError."""
        error = message.error()
        if error is None:
            return False
        topic, partition = message.topic() or "", message.partition() or 0
        if error.code() != KafkaError._PARTITION_EOF:
            raise KafkaRefusedError(
                f"Kafka gives no records of {topic}[{partition}]: {error.str()}; if they were deleted before they were"
                " recorded, start again: it goes on behind them"
            )
        if self._open is not None and (message.offset() or 0) >= self._ends[topic, partition]:
            self._open.discard((topic, partition))
        return True

    def close(self) -> None:
        """Release the consumer."""
        self._consumer.close()

    def _start(self, place: Place, kept: int | None, wanted: int, first: int) -> int:
        topic, partition = place
        if kept is None:
            return wanted
        if kept > self._ends[place]:
            raise RecordingError(
                f"{topic}[{partition}] ends at offset {self._ends[place]}, and is recorded up to {kept}: the topic was"
                " made again, so record it to another folder"
            )
        if kept < first:
            _log.warning("%s[%d]: offsets %d to %d were deleted unrecorded", topic, partition, kept, first - 1)
        return max(kept, first)

    def _places(self, topics: Collection[str]) -> list[Place]:
        places = []
        for topic in topics:
            found = self._consumer.list_topics(topic, timeout=CONNECT_S).topics[topic]
            if found.error is not None and found.error.code() in PASSING:
                raise KafkaException(found.error)
            if found.error is not None or not found.partitions:
                said = "it has no partitions" if found.error is None else found.error.str()
                raise MissingTopicError(
                    f"topic {topic} on {self._kafka.servers} cannot be read: {said}; check spec.kafka.topics of the"
                    " IbFeed and the right to Read and Describe it, and name the topics by --topic"
                )
            places += [(topic, partition) for partition in found.partitions]
        return places
