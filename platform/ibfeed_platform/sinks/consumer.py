"""The edge to Kafka of the sinks that share partitions: the records of a consumer group, in batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from ibfeed import BookChange, RecordError, Tick
from ibfeed.records import (
    UNDECODABLE,
    FeedEvent,
    check_schema,
    decode_change,
    decode_event,
    decode_tick,
    origin_of,
    place_of,
)
from ibfeed_platform.sinks import refusals
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.source import KafkaSource
from ibfeed_platform.sinks.values import Values

_LOG: Final = logging.getLogger(__name__)
_BATCH: Final = 2000
_POLL_S: Final = 0.1  # how long ``fetch`` blocks at most
_CALL_S: Final = 10.0
_TELL_S: Final = 60.0  # records that cannot be decoded are told so often at most

Place = tuple[str, int]  # topic, partition
Kind = Literal["ticks", "books", "events"]
_DECODERS: Final[Mapping[str, Callable[[bytes], Tick | BookChange | FeedEvent]]] = {
    "ticks": decode_tick,
    "books": decode_change,
    "events": decode_event,
}


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record of the feed.

    Args:
        value: the decoded record.
        raw: the same in JSON, with the digits that it came with.
        epoch: of the assignment; None: the record has none.
        repeated: the group confirmed it before, and reads it again.
    """

    kind: Kind
    value: Tick | BookChange | FeedEvent
    raw: bytes
    worker: str
    epoch: int | None
    partition: int
    offset: int
    repeated: bool


@dataclass(frozen=True)
class Batch:
    """Records, and how far each partition is read with them. ``unreadable``: why others cannot be decoded."""

    records: Sequence[Record]
    ends: Mapping[Place, int]
    unreadable: Sequence[str] = ()


@dataclass
class Counters:
    """Records that were left out, and why the last of them could not be decoded."""

    of_other_feeds: int = 0
    unreadable: int = 0
    unreadable_cause: str = ""


@dataclass
class _Partition:
    """How far a partition of ours is done.

    Args:
        reached: where we began, or the end of what is confirmed; None: there was nothing to begin with.
        floor: what the group had confirmed when we began.
    """

    reached: int | None
    floor: int


class GroupConsumer:
    """A member of a sink's consumer group. Calls block, and are made by one thread at a time.

    Args:
        source: where the records are.
        kinds: the kinds of records that the sink wants.
        window_s: read each partition from so long ago, whatever the group's offset. Then a destination that keeps only
            so much has all of it, even if it lost what was confirmed. None: from the group's offset on.

    Raises SinkError if a property for Kafka is not one.
    """

    def __init__(self, source: KafkaSource, kinds: Sequence[Kind], window_s: float | None = None) -> None:
        self.counters: Final = Counters()
        self.trouble: str | None = None  # what fails now and is tried again
        self._source: Final = source
        self._window_s: Final = window_s
        self._values: Final = Values(source.registry)
        names = {"ticks": source.topics.ticks, "books": source.topics.books, "events": source.topics.events}
        self._kinds: Final[dict[str, Kind]] = {name: kind for kind in kinds if (name := names[kind]) is not None}
        self._partitions: Final[dict[Place, _Partition]] = {}
        self._paused = False
        self._tell_at = 0.0
        self._consumer: Final = self._connect()
        self._consumer.subscribe(
            list(self._kinds), on_assign=self._on_assign, on_revoke=self._on_gone, on_lost=self._on_gone
        )

    def fetch(self) -> Batch:
        """Return the next records: as many as are there, or those that come within 0.1 s.

        Raises SinkError if only a person can help, and RegistryUnreachableError. After the latter ``rewind``: records
        were fetched, and are in no batch.
        """
        try:
            messages = self._consumer.consume(_BATCH, timeout=0)
            if not messages:
                first = self._consumer.poll(_POLL_S)
                messages = [] if first is None else [first, *self._consumer.consume(_BATCH - 1, timeout=0)]
        except KafkaException as error:
            self._note_error(error.args[0], "")
            return Batch((), {})
        return self._batch(messages)

    def confirm(self, batch: Batch) -> None:
        """Note that the destination has the batch. Kafka is told within a second."""
        self._note_unreadable(batch.unreadable)
        offsets = []
        for place, end in batch.ends.items():
            partition = self._partitions.get(place)
            if partition is not None:  # else another process has it now, and reads the batch again
                partition.reached = end
                if end > partition.floor:
                    offsets.append(TopicPartition(*place, end))
        if offsets:
            self._consumer.store_offsets(offsets=offsets)

    def pause(self) -> None:
        """Fetch no records until ``rewind``. ``fetch`` must still be called, so that the group keeps this member."""
        self._paused = True
        self._consumer.pause(self._assigned())

    def rewind(self) -> None:
        """Go on from the start of the window, or from what was confirmed where there is no window.

        Raises KafkaException if Kafka does not tell where the window starts.
        """
        self._paused = False
        for target in self._starts(self._assigned()):
            partition = self._partitions[target.topic, target.partition]
            partition.floor = max(partition.floor, partition.reached or 0)
            if self._window_s is None:
                target.offset = partition.floor
            self._consumer.seek(target)
        self._consumer.resume(self._assigned())

    @property
    def lag(self) -> int | None:
        """The records of our partitions that are not confirmed; None: not known."""
        lag = 0
        for place, partition in self._partitions.items():
            low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if high < 0:
                return None
            if partition.reached is not None:
                lag += max(0, high - partition.reached)
            elif self._window_s is None:
                lag += high - low
        return lag

    def close(self) -> None:
        """Leave the group. What was confirmed is told before."""
        self._consumer.close()

    # The group.

    def _connect(self) -> Consumer:
        try:
            return Consumer(
                {
                    "bootstrap.servers": self._source.servers,
                    "partition.assignment.strategy": "cooperative-sticky",
                    "auto.offset.reset": "earliest",
                    "fetch.queue.backoff.ms": 5,
                    "fetch.wait.max.ms": 100,
                    "auto.commit.interval.ms": 1000,
                    "session.timeout.ms": 6000,  # a member that was killed holds its partitions for so long
                    "heartbeat.interval.ms": 1000,
                    **self._source.config,
                    "group.id": self._source.group,
                    "enable.auto.commit": True,
                    "enable.auto.offset.store": False,  # only what the destination confirmed is committed
                    "error_cb": self._on_error,
                },
                logger=logging.getLogger("ibfeed.librdkafka"),
            )
        except (KafkaException, ValueError, TypeError) as error:
            raise SinkError(f"the properties for Kafka are refused: {refusals.text_of(error)}; correct them") from None

    def _assigned(self) -> list[TopicPartition]:
        return [TopicPartition(*place) for place in self._partitions]

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        places = [TopicPartition(one.topic, one.partition) for one in given]
        try:
            floors = {(one.topic, one.partition): one.offset for one in consumer.committed(places, timeout=_CALL_S)}
            starts = self._starts(places)
        except KafkaException as error:
            # Kafka fails in the middle of it. The group's offsets stand, and the window is read after the next time.
            self.trouble = refusals.trouble_of(error.args[0], self._source.servers)
            floors, starts = {}, places
        for start in starts:
            place = (start.topic, start.partition)
            reached = start.offset if start.offset >= 0 else None
            self._partitions[place] = _Partition(reached, floors.get(place, OFFSET_INVALID))
        consumer.incremental_assign(starts)
        if self._paused:
            consumer.pause(places)

    def _on_gone(self, _: Consumer, given: list[TopicPartition]) -> None:
        for one in given:
            self._partitions.pop((one.topic, one.partition), None)

    def _starts(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """Return the partitions with the offset at which the window starts. Raises KafkaException."""
        if self._window_s is None or not places:
            return places
        since = int((time.time() - self._window_s) * 1000)
        asked = [TopicPartition(one.topic, one.partition, since) for one in places]
        found: list[TopicPartition] = self._consumer.offsets_for_times(asked, timeout=_CALL_S)
        return found

    # Records.

    def _batch(self, messages: Sequence[Message]) -> Batch:
        records: list[Record] = []
        ends: dict[Place, int] = {}
        unreadable = []
        for message in messages:
            error = message.error()
            if error is not None:
                self._note_error(error, message.topic() or "")
                continue
            place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
            ends[place] = offset + 1
            try:
                record = self._record(message)
            except (RecordError, *UNDECODABLE) as cause:
                if not self._is_repeated(place, offset):
                    unreadable.append(f"{place_of(message)}: {cause}")
                continue
            if record is not None:
                records.append(record)
        if ends:
            self.trouble = None
        return Batch(records, ends, unreadable)

    def _record(self, message: Message) -> Record | None:
        """Return the record; None if it is of another feed. Raises RecordError, and one of ``UNDECODABLE``."""
        topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
        kind = self._kinds[topic]
        origin = origin_of(message)
        if origin.feed != self._source.feed:
            self.counters.of_other_feeds += 1
            return None
        check_schema(origin.schema, kind, message)
        if kind != "events" and origin.epoch is None:
            raise RecordError("it has no header 'epoch': is the topic ibfeed's own?")
        raw, repeated = self._values.plain(message.value() or b""), self._is_repeated((topic, partition), offset)
        return Record(kind, _DECODERS[kind](raw), raw, origin.worker, origin.epoch, partition, offset, repeated)

    def _is_repeated(self, place: Place, offset: int) -> bool:
        """Return whether the group confirmed a record before, and reads it again."""
        owned = self._partitions.get(place)
        return owned is not None and offset < owned.floor

    def _note_unreadable(self, causes: Sequence[str]) -> None:
        """Count records that cannot be decoded, and log them once a minute at most."""
        if not causes:
            return
        self.counters.unreadable += len(causes)
        self.counters.unreadable_cause = causes[-1]
        now = time.monotonic()
        if now >= self._tell_at:
            self._tell_at = now + _TELL_S
            _LOG.warning(
                "left out %d records that cannot be decoded, such as %s; %d since the start",
                *(len(causes), causes[-1], self.counters.unreadable),
            )

    # Trouble.

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN or error.code() == KafkaError._AUTHENTICATION:
            self.trouble = refusals.trouble_of(error, self._source.servers)

    def _note_error(self, error: KafkaError, topic: str) -> None:
        """Tell an error that passes. Raises SinkError for one that does not."""
        where = f"topic {topic}" if topic else f"group {self._source.group}"
        refusals.check(error, self._source.servers, where)
        self.trouble = refusals.trouble_of(error, self._source.servers)
