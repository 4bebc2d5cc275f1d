"""The edge to Kafka: one consumer, from where it starts to where it ends."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ibfeed.avro import AvroReader
from ibfeed.errors import KafkaRefusedError, KafkaUnreachableError, MissingTopicError
from ibfeed.events import Gap
from ibfeed.offsets import AWAY, PASSING, GroupOffsets, Place
from ibfeed.records import Message
from ibfeed.registry import SchemaRegistry
from ibfeed.stream import Topics

CONNECT_S: Final = 10.0  # until a Kafka that does not answer is given up, at the start
AWAY_S: Final = 30.0  # until one that is lost while reading is given up
_CALL_S: Final = 10.0
_POLL_S: Final = 0.1  # how long ``fetch`` blocks at most, and so how long a cancelled reader takes to end
_BATCH: Final = 256  # records; larger batches fall out of the processor's cache
_GRACE_MS: Final = 1000  # after ``until``, for records that are still on their way to Kafka
# The library's own pause of 1 s, once it has enough, would let a fast reader run dry.
FETCHING: Final = {"fetch.queue.backoff.ms": 5, "fetch.message.max.bytes": 4_000_000}
LATEST: Final = -1  # as times, these ask for a partition's end and its beginning
EARLIEST: Final = -2
_AGAIN_S: Final = 0.2

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Settings:
    """The records that a source reads.

    Args:
        servers: Kafka's bootstrap servers.
        start_ms: the time to start from; None: from now; ``EARLIEST``: from the first record that is there.
        until_ms: the time to end at; None: never.
        group: the name under which Kafka keeps how far this reader came; None: it does not.
        config: further properties of librdkafka, such as those of a secured Kafka. They may hold secrets.
        commit_every_s: how often Kafka is told how far a group came.
        registry: of a feed that writes Avro.
    """

    servers: str
    topics: Topics
    start_ms: int | None = None
    until_ms: int | None = None
    group: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    commit_every_s: float = 1.0
    registry: SchemaRegistry | None = None


class Source:
    """The records of a feed's topics, in batches. Calls block, and are made by one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        """Connect, and find where each partition starts.

        Raises:
            KafkaUnreachableError: no broker answers within ``CONNECT_S``.
            MissingTopicError: a topic is not there.
            KafkaRefusedError: Kafka answers, and refuses.
        """
        self.gaps: list[Gap] = []  # told first: records that were deleted before they were read
        self._settings: Final = settings
        self._avro: Final = None if settings.registry is None else AvroReader(settings.registry.schema)
        self._complaint = ""  # the client library's latest
        self._lost_at: float | None = None
        self._ends: dict[Place, int] | None = None  # once they are known
        self._reached: dict[Place, int] = {}  # only if there is an end
        self._consumer: Final = self._connect(settings.group or f"ibfeed-{uuid.uuid4()}")
        connection = {**settings.config, "bootstrap.servers": settings.servers}
        self._group: Final = (
            None if settings.group is None else GroupOffsets(settings.group, connection, settings.commit_every_s)
        )
        try:
            with self._errors():
                self._tables: Final = retried(lambda: self._partitions([settings.topics.contracts]))
                streams = retried(lambda: self._partitions(settings.topics.streams))
                self._starts: Final = retried(lambda: self._find_starts(streams))
                self._reached.update(self._starts)
        except BaseException:
            self._consumer.close()
            raise

    # Reading.

    def table(self) -> Iterator[list[Message]]:
        """Yield the records of topic ``contracts``, from its beginning to its present end; then start the rest.

        Raises KafkaUnreachableError or KafkaRefusedError.
        """
        with self._errors():
            starts = retried(lambda: self._offsets(self._tables, EARLIEST))
            ends = retried(lambda: self._offsets(self._tables, LATEST))
            self._consumer.assign(_with_offsets(starts))
        open_ = {place for place in ends if starts[place] < ends[place]}
        deadline = time.monotonic() + AWAY_S
        while open_:
            if time.monotonic() > deadline:
                raise KafkaUnreachableError(self._unreachable(f"did not give the contracts within {AWAY_S:g} s"))
            batch = list(self._consumer.consume(_BATCH, timeout=_POLL_S))
            yield self._plain([message for message in batch if not self._is_end(message)])
            # By the position, since the last record before an end may have been compacted away.
            with self._errors():
                found = self._consumer.position([TopicPartition(*place) for place in open_])
            open_ = {(at.topic, at.partition) for at in found if at.offset < ends[at.topic, at.partition]}
        with self._errors():
            self._consumer.assign(_with_offsets({**self._starts, **ends}))
        self._reached.update(ends)

    def _is_end(self, message: Message) -> bool:
        """Return whether this is no record but the news that a partition has no more for now.

        Raises KafkaRefusedError if it is an error.
        """
        error = message.error()
        if error is None:
            return False
        if error.code() != KafkaError._PARTITION_EOF:
            raise KafkaRefusedError(f"Kafka gives no records of {message.topic()}: {error.str()}")
        return True

    def fetch(self) -> list[Message]:
        """Return the next records: as many as are there, or those that come within ``_POLL_S``.

        Raises KafkaUnreachableError if Kafka is away for ``AWAY_S``, and RegistryError.
        """
        # A batch with a time limit waits until it is full. So the first record is waited for alone.
        batch: list[Message] = list(self._consumer.consume(_BATCH, timeout=0))
        if not batch:
            message = self._consumer.poll(_POLL_S)
            if message is not None:
                batch = [message, *self._consumer.consume(_BATCH - 1, timeout=0)]
        if batch:
            self._lost_at = None
        elif self._lost_at is not None and time.monotonic() - self._lost_at > AWAY_S:
            self._ask_whether_away()
        if self._settings.until_ms is not None:
            batch = self._before_the_end(batch, self._settings.until_ms)
        return self._plain(batch)

    def _plain(self, batch: list[Message]) -> list[Message]:
        return batch if self._avro is None else [self._avro.plain(message) for message in batch]

    @property
    def finished(self) -> bool:
        """Whether each partition has come to its end. Never, if there is none."""
        ends = self._ends
        return ends is not None and all(self._reached[place] >= end for place, end in ends.items())

    def _before_the_end(self, batch: Sequence[Message], until_ms: int) -> list[Message]:
        """Return the records from before the end, and note how far each partition has come."""
        if self._ends is None and time.time() * 1000 > until_ms + _GRACE_MS:
            with self._errors():
                self._ends = retried(lambda: self._offsets(list(self._reached), until_ms))
        kept = []
        for message in batch:
            place, offset = _place(message), message.offset() or 0
            if self._is_end(message):
                self._reached[place] = offset
                continue
            self._reached[place] = offset + 1
            if message.timestamp()[1] < until_ms and (self._ends is None or offset < self._ends[place]):
                kept.append(message)
        return kept

    # How far the caller came.

    def commit(self, batch: Sequence[Message], handled: int, *, last: bool = False) -> None:
        """Note that the first ``handled`` records of the batch are done with.

        Kafka is told at most every ``commit_every_s``, and not while it is away.

        Args:
            batch: the records as ``fetch`` returned them.
            handled: how many of them.
            last: tell Kafka now, and wait for its answer.

        Raises KafkaRefusedError or KafkaUnreachableError.
        """
        if self._group is None:
            return
        for message in batch[:handled]:
            if message.topic() != self._settings.topics.contracts:
                self._group.note(_place(message), (message.offset() or 0) + 1)
        if self._lost_at is not None:
            return
        with self._errors():
            if last:
                self._group.write_now()
            else:
                self._group.write_in_passing()

    def close(self) -> None:
        """Release the consumer."""
        self._consumer.close()

    # The start.

    def _connect(self, group: str) -> Consumer:
        settings = self._settings
        try:
            return Consumer(
                {
                    "bootstrap.servers": settings.servers,
                    "auto.offset.reset": "error",  # records that are no longer there must not be passed over in silence
                    "enable.partition.eof": settings.until_ms is not None,
                    **FETCHING,
                    **settings.config,
                    "group.id": group,
                    "enable.auto.commit": False,
                    "error_cb": self._on_error,
                },
                logger=logging.getLogger("ibfeed.librdkafka"),
            )
        except (KafkaException, ValueError, TypeError) as error:
            raise KafkaRefusedError(f"the properties for Kafka are refused: {_text(error)}; correct config") from None

    def _partitions(self, topics: Iterable[str | None]) -> list[Place]:
        """Return the partitions of topics. Raises MissingTopicError."""
        places = []
        for topic in topics:
            if topic is None:
                continue
            found = self._consumer.list_topics(topic, timeout=CONNECT_S).topics[topic]
            if found.error is not None and found.error.code() in PASSING:
                raise KafkaException(found.error)
            if found.error is not None or not found.partitions:
                why = found.error.str() if found.error is not None else "it has no partitions"
                raise MissingTopicError(
                    f"topic {topic} on {self._settings.servers} cannot be read: {why}; check spec.kafka.topics of the"
                    " IbFeed and the right to Read and Describe it, or leave it out by None in ibfeed.Topics"
                )
            places += [(topic, partition) for partition in found.partitions]
        return places

    def _find_starts(self, places: list[Place]) -> dict[Place, int]:
        """Return the offset that each partition is read from."""
        start_ms = self._settings.start_ms
        ends = starts = self._offsets(places, LATEST)
        if start_ms is not None:
            # Where no record is as young, Kafka says none, and its end is asked for. Records may come meanwhile.
            starts = {place: min(at, ends[place]) for place, at in self._offsets(places, start_ms).items()}
        if self._settings.group is None:
            return starts
        earliest, latest = self._offsets(places, EARLIEST), self._offsets(places, LATEST)
        for found in self._consumer.committed([TopicPartition(*place) for place in places], timeout=_CALL_S):
            if found.error is not None:
                raise KafkaException(found.error)
            place = (found.topic, found.partition)
            if found.offset < 0:  # this group never read it
                continue
            starts[place] = found.offset
            if not earliest[place] <= found.offset <= latest[place]:
                starts[place] = earliest[place]
                self._note_gap(place, found.offset)
        return starts

    def _offsets(self, places: Sequence[Place], at: int) -> dict[Place, int]:
        return offsets_at(self._consumer, places, at)

    def _note_gap(self, place: Place, offset: int) -> None:
        topic, partition = place
        reason = f"the records of {topic}[{partition}] from offset {offset} on were deleted before they were read"
        self.gaps.append(
            Gap(conid=None, symbol=None, from_ms=None, to_ms=None, reason=reason, at_ms=int(time.time() * 1000))
        )

    # Trouble.

    def _on_error(self, error: KafkaError) -> None:
        self._complaint = error.str()
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._lost_at is None:
            self._lost_at = time.monotonic()

    def _ask_whether_away(self) -> None:
        """Ask Kafka for a sign of life, since a quiet market gives none. Raises KafkaUnreachableError."""
        with self._errors():
            self._consumer.list_topics(next(iter((*self._starts, *self._tables)))[0], timeout=CONNECT_S)
        self._lost_at = None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            if error.args[0].code() in AWAY:
                raise KafkaUnreachableError(self._unreachable(f"did not answer within {CONNECT_S:g} s")) from None
            raise KafkaRefusedError(f"Kafka at {self._settings.servers} refuses: {_text(error)}") from None

    def _unreachable(self, what: str) -> str:
        said = f" ({self._complaint})" if self._complaint else ""
        return (
            f"Kafka at {self._settings.servers} {what}{said}: check the address, that this machine reaches it and the"
            " addresses that its brokers advertise, and the security properties in config"
        )


def offsets_at(consumer: Consumer, places: Sequence[Place], at: int) -> dict[Place, int]:
    """Return the first offsets at or after a time in ms, or at ``EARLIEST`` or ``LATEST``.

    Where there is no record after the time, it is the partition's end. Raises KafkaException.
    """
    asked = [TopicPartition(*place, at) for place in places]
    found = consumer.offsets_for_times(asked, timeout=_CALL_S) if asked else []
    for partition in found:
        if partition.error is not None:
            raise KafkaException(partition.error)
    offsets = {(partition.topic, partition.partition): partition.offset for partition in found}
    late = [place for place, offset in offsets.items() if offset < 0]
    return {**offsets, **offsets_at(consumer, late, LATEST)} if late and at >= 0 else offsets


def retried(work: Callable[[], Result]) -> Result:
    """Return the result of ``work``, which is tried again for ``CONNECT_S`` while its error is one that passes."""
    deadline = time.monotonic() + CONNECT_S
    while True:
        try:
            return work()
        except KafkaException as error:
            if error.args[0].code() not in PASSING or time.monotonic() > deadline:
                raise
        time.sleep(_AGAIN_S)


def _place(message: Message) -> Place:
    return message.topic() or "", message.partition() or 0


def _with_offsets(places: Mapping[Place, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in places.items()]


def _text(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return cause.str() if isinstance(cause, KafkaError) else str(cause)
