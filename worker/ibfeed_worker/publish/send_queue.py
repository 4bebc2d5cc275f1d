"""The queue of records for Kafka: waiting for room, handed over, on their way, answered for.

Each record of the stream passes here twice, so this is one of the compiled modules: no coroutines (ADR 25).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

import msgspec

from ibfeed_api.feed import Topics
from ibfeed_api.instrument import partition_of
from ibfeed_api.records import (
    HEADER_EPOCH,
    HEADER_SCHEMA,
    HEADER_WORKER,
    SCHEMA_EVENT,
    SCHEMA_TICK,
    DepthRecord,
    FeedEvent,
    Tick,
)
from ibfeed_worker.publish.broker import Broker, BrokerError, Delivered, Headers, QueueFullError, RecordTooLargeError
from ibfeed_worker.publish.partition_writer import Closed, Deliveries, PartitionWriter, Record
from ibfeed_worker.publish.refusals import Refusal, is_of_the_record, is_of_the_size

_EVENTS_AT_MOST: Final = 1000
_TRIES_AT_MOST: Final = 2  # tries of a record that Kafka refuses for its own sake
TOO_LARGE: Final = "larger than the topic takes"
GIVEN_UP: Final = "given up while Kafka could not be reached"
NOT_KNOWN: Final = "whether Kafka has them could not be found out"


@dataclass(slots=True)
class PublishCounters:
    """Counts of records since the process started."""

    ticks: Deliveries = field(default_factory=Deliveries)
    books: Deliveries = field(default_factory=Deliveries)
    events: int = 0
    events_lost: int = 0


@final
class _Answer:
    """The callback for Kafka's answer to one record.

    ``before`` is the event time of the contract's record before it.
    """

    __slots__ = ("before", "event_time", "refusals", "send_queue", "seq", "writer")

    def __init__(
        self, send_queue: SendQueue, writer: PartitionWriter, event_time: int, seq: int, before: int | None
    ) -> None:
        self.send_queue: Final = send_queue
        self.writer: Final = writer
        self.event_time: Final = event_time
        self.seq: Final = seq
        self.before: Final = before
        self.refusals = 0

    def __call__(self, error: Any, message: Any) -> None:
        self.send_queue.told(self, error, message)


@final
class _Kept:
    """A record that waits for the next producer. ``tried``: an earlier one had it, so Kafka may have it."""

    __slots__ = ("answer", "tried", "value")

    def __init__(self, answer: _Answer, value: bytes, tried: bool) -> None:
        self.answer: Final = answer
        self.value: Final = value
        self.tried: Final = tried


@final
class _Told:
    """The callback for Kafka's answer to one event."""

    __slots__ = ("event", "send_queue", "slot")

    def __init__(self, send_queue: SendQueue, event: FeedEvent, slot: int) -> None:
        self.send_queue: Final = send_queue
        self.event: Final = event
        self.slot: Final = slot

    def __call__(self, error: Any, _message: Any) -> None:
        self.send_queue.told_of_event(self, error)


@final
class SendQueue:
    """The queue of records for Kafka. It never blocks, and loses no record without saying so.

    Its owner takes care of the connection.
    """

    def __init__(
        self,
        *,
        worker: str,
        feed: str,
        topics: Topics,
        room: int,
        may_write: Callable[[], bool],
        on_departure: Callable[[], None],
        on_refusal: Callable[[], None],
    ) -> None:
        """Create the queue without a producer; ``resume`` gives it one.

        Args:
            room: number of records that are kept while there is no producer.
            may_write: called before each tick and each record of a book; while it is False, they wait.
            on_departure: called when a record is on its way, and none was before.
            on_refusal: called when a record came back.
        """
        self.counters: Final = PublishCounters()
        self.broker: Broker | None = None  # the producer; while there is none, records are kept
        self.calm: Final = asyncio.Event()  # nothing is on its way or waiting
        self.calm.set()
        self.landed: Final = asyncio.Event()  # nothing is on its way
        self.landed.set()
        self.in_flight = 0  # records that the client library has
        self.kept = 0  # records that wait for the next producer
        self.events_answered = 0
        self.events_acknowledged = 0
        self.learned = 0  # records that were found on Kafka after their producer was gone
        self.events_in_flight = 0
        self.refusals: list[Refusal] = []  # of the present producer
        self._worker: Final = worker
        self._feed: Final = feed
        self._events_topic: Final = topics.feed_events
        self._room: Final = room
        self._may_write: Final = may_write
        self._on_departure: Final = on_departure
        self._on_refusal: Final = on_refusal
        self._waiting: dict[PartitionWriter, None] = {}
        self._kept: dict[PartitionWriter, list[_Kept]] = {}
        self._doubtful: dict[PartitionWriter, None] = {}
        self._events: deque[tuple[FeedEvent, int]] = deque()
        self._returned: list[tuple[FeedEvent, int]] = []  # events that came back, in their order
        self._touched: dict[
            PartitionWriter | None, None
        ] = {}  # writers that Kafka has answered for since the last round; None: events
        self._encode: Final = msgspec.json.Encoder().encode

    @property
    def backlog(self) -> int:
        """Number of records that Kafka has not acknowledged."""
        return self.in_flight + self.kept + len(self._waiting) + len(self._events) + len(self._returned)

    def publish(self, writer: PartitionWriter, tick: Tick) -> None:
        """Send a tick, or keep it until there is room. While Kafka does not keep up, the latest of a contract wins."""
        writer.used = True
        if writer.waiting is None and self._hand_over(writer, tick):
            return
        self._wait(writer, tick)

    def publish_book(self, writer: PartitionWriter, record: DepthRecord, whole: Callable[[], DepthRecord]) -> None:
        """Send a record of an order book.

        A delta without room would mislead the reader of the next one. So it is replaced by ``whole()``, the book as it
        is, which waits in its place.
        """
        writer.used = True
        if writer.waiting is None and self._hand_over(writer, record):
            return
        if record.kind == "delta":
            self.counters.books.conflated += writer.waiting is None
            record = whole()
        self._wait(writer, record)

    def event(self, event: FeedEvent, slot: int = 0) -> None:
        """Send an event, in order with the others."""
        if len(self._events) >= _EVENTS_AT_MOST:
            self._events.popleft()
            self.counters.events_lost += 1
        self._events.append((event, slot))
        self.calm.clear()
        self._push_events()

    def abandon(self, writer: PartitionWriter) -> None:
        """Drop the waiting record of a contract that another worker has by now: it must not follow."""
        writer.waiting = None
        self._waiting.pop(writer, None)
        self._settle_down()

    def give_up(self, writers: Collection[PartitionWriter]) -> None:
        """Give up the records of these, since their next publisher must not meet records of ours.

        Kept records are lost now; those in the client library are lost as soon as it gives them back.
        """
        for writer in writers:
            writer.over, writer.queued = True, False
            self._doubtful.pop(writer, None)
            for kept in self._kept.pop(writer, []):
                self.kept -= 1
                self._fail(kept.answer, GIVEN_UP)
        self._settle_down()

    @property
    def doubtful(self) -> list[PartitionWriter]:
        """The writers whose kept records an earlier producer may have brought to Kafka.

        They wait until that is known.
        """
        return list(self._doubtful)

    def learn(self, reached: Mapping[PartitionWriter, int | None]) -> None:
        """Settle doubtful records, so that those that are not on Kafka can be sent again.

        Args:
            reached: the ``seq`` up to which Kafka has a writer's records; None if that cannot be known. Such records
                are lost, since sending them again could double them.
        """
        for writer, mark in reached.items():
            self._doubtful.pop(writer, None)
            left = []
            for item in sorted(self._kept.get(writer, []), key=lambda item: item.answer.seq):
                if not item.tried or (mark is not None and item.answer.seq > mark):
                    left.append(item)
                    continue
                self.kept -= 1
                if mark is None:
                    self._fail(item.answer, NOT_KNOWN)
                else:
                    self.learned += 1
                    self._acknowledge(item.answer)
            self._kept[writer] = left
        self.push()

    def resume(self, broker: Broker) -> None:
        """Go on with this producer. Kept records go first, but for the ``doubtful`` ones."""
        self.refusals = []
        self.broker = broker
        self.push()

    def refuse(self, refusal: Refusal) -> None:
        """Give up a record, or an event, that came back: it is too large for its topic."""
        if refusal.writer is None:
            left = [item for item in self._returned if item[0].at_ms != refusal.seq]
            self.counters.events_lost += len(self._returned) - len(left)
            self._returned = left
            return
        kept = self._kept.get(refusal.writer, [])
        for item in kept:
            if item.answer.seq == refusal.seq:
                kept.remove(item)
                self.kept -= 1
                self._fail(item.answer, TOO_LARGE)
                return

    def stop(self) -> None:
        """Go on without a producer: records are kept."""
        self.broker = None

    def push(self) -> None:
        """Hand over waiting records, as far as there is room."""
        if not self._push_kept():
            return
        self._push_events()
        for writer in list(self._waiting):
            record = writer.waiting
            if record is None or self._hand_over(writer, record):
                writer.waiting = None
                del self._waiting[writer]
            else:
                return

    def after_answers(self) -> list[PartitionWriter]:
        """Use the room that there is, now that the client library has called back.

        Return the writers whose answers came.
        """
        touched, self._touched = self._touched, {}
        if touched and (self._waiting or self._events or self._returned or self._kept):
            self.push()
        self._settle_down()
        return [writer for writer in touched if writer is not None]

    def told(self, answer: _Answer, error: Any, message: Any) -> None:
        """Take Kafka's answer to one record."""
        self.in_flight -= 1
        if error is None:
            self._acknowledge(answer)
        else:
            self._take_back(answer, error, message)

    def told_of_event(self, told: _Told, error: Any) -> None:
        """Take Kafka's answer to one event."""
        self.in_flight -= 1
        self.events_in_flight -= 1
        self.events_answered += 1
        self._touched[None] = None
        if error is None:
            self.events_acknowledged += 1
            return
        if is_of_the_record(error):
            self.counters.events_lost += 1
        else:
            self._returned.append((told.event, told.slot))
        if is_of_the_size(error):
            topic = self._events_topic
            size = len(self._encode(told.event))
            self.refusals.append(
                Refusal(topic.name, partition_of(told.slot, topic.partitions), None, told.event.at_ms, size)
            )
        self._on_refusal()

    def _acknowledge(self, answer: _Answer) -> None:
        writer = answer.writer
        self._touched[writer] = None
        closed = writer.delivered(answer.event_time, answer.seq)
        if closed is not None and writer.schema == SCHEMA_TICK:  # a book is mended by its next snapshot
            self._report_gap(writer, closed)

    def _fail(self, answer: _Answer, why: str) -> None:
        writer = answer.writer
        self._touched[writer] = None
        writer.failed(answer.seq, why, after=answer.before)

    def _take_back(self, answer: _Answer, error: Any, message: Any) -> None:
        """Take a record back that Kafka has refused, or whose producer is being replaced.

        Send it again if that may help.
        """
        writer = answer.writer
        value = message.value() if message is not None else None
        if value is not None and is_of_the_size(error):
            self.refusals.append(Refusal(writer.topic, writer.partition, writer, answer.seq, len(value)))
        elif is_of_the_record(error):
            answer.refusals += 1
        # A book is mended by its next snapshot.
        if (
            writer.over
            or value is None
            or writer.schema != SCHEMA_TICK
            or self.kept >= self._room
            or answer.refusals >= _TRIES_AT_MOST
        ):
            self._fail(answer, str(error))
        else:
            self._touched[writer] = None
            writer.deliveries.again += 1
            self._keep(answer, value, tried=True)
        self._on_refusal()

    def _keep(self, answer: _Answer, value: bytes, *, tried: bool) -> None:
        writer = answer.writer
        self._kept.setdefault(writer, []).append(_Kept(answer, value, tried))
        self.kept += 1
        writer.queued = True
        if tried:
            self._doubtful[writer] = None
        self.calm.clear()

    def _push_kept(self) -> bool:
        """Hand over kept records. Return whether there is room for more."""
        broker = self.broker
        for writer in [writer for writer in self._kept if writer not in self._doubtful]:
            kept, done = self._kept[writer], 0
            while done < len(kept) and broker is not None and self._may_write():
                if not self._send(broker, kept[done].answer, kept[done].value):
                    break
                done += 1
            self.kept -= done
            if done < len(kept):
                self._kept[writer] = kept[done:]
                return False
            del self._kept[writer]
            writer.queued = False
        return True

    def _wait(self, writer: PartitionWriter, record: Record) -> None:
        writer.deliveries.conflated += writer.wait(record)
        self._waiting[writer] = None
        self.calm.clear()

    def _hand_over(self, writer: PartitionWriter, record: Record) -> bool:
        """Hand over a record. Return whether it needs no more care: it is on its way, or kept, or lost for good."""
        if not self._may_write():
            return False
        value = self._encode(record)
        time_ = record.event_time
        answer = _Answer(self, writer, time_, record.seq, writer.sent)
        broker = self.broker
        writer.in_flight += 1
        if len(value) > writer.deliveries.largest:
            self._fail(answer, TOO_LARGE)
        elif broker is not None and not writer.queued and self._send(broker, answer, value):
            writer.sent = time_
        elif (self.broker is None or writer.queued) and writer.schema == SCHEMA_TICK and self.kept < self._room:
            self._keep(answer, value, tried=False)  # there was no producer, or it has just gone
            writer.sent = time_
        else:
            writer.in_flight -= 1
            return False
        writer.deliveries.handed_over += 1
        return True

    def _send(self, broker: Broker, answer: _Answer, value: bytes) -> bool:
        """Send a record. Return whether it needs no more care: it is on its way, or too large for any producer."""
        writer = answer.writer
        try:
            return self._produce(broker, writer.topic, writer.partition, writer.key, value, writer.headers, answer)
        except RecordTooLargeError:
            self._fail(answer, TOO_LARGE)
            return True

    def _produce(
        self, broker: Broker, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, told: Delivered
    ) -> bool:
        """Give a record to the client library; return whether it took it. Raises RecordTooLargeError."""
        try:
            broker.produce(topic, partition, key, value, headers, told)
        except QueueFullError:
            return False
        except BrokerError:
            self._on_refusal()
            return False
        if not self.in_flight:
            self.landed.clear()
            self.calm.clear()
            self._on_departure()
        self.in_flight += 1
        return True

    def _push_events(self) -> None:
        if self._returned:
            self._events.extendleft(reversed(self._returned))
            self._returned = []
        topic = self._events_topic
        while self._events and (broker := self.broker) is not None:
            event, slot = self._events[0]
            key = (self._worker if event.conid is None else str(event.conid)).encode()
            headers: Headers = [(HEADER_WORKER, self._worker.encode()), (HEADER_SCHEMA, SCHEMA_EVENT.encode())]
            if event.epoch is not None:
                headers.append((HEADER_EPOCH, str(event.epoch).encode()))
            told = _Told(self, event, slot)
            try:
                if not self._produce(
                    broker, topic.name, partition_of(slot, topic.partitions), key, self._encode(event), headers, told
                ):
                    return
                self.events_in_flight += 1
                self.counters.events += 1
            except RecordTooLargeError:
                self.counters.events_lost += 1
            self._events.popleft()

    def _settle_down(self) -> None:
        if not self.in_flight:
            self.landed.set()
            if not self.kept and not self._waiting and not self._events and not self._returned:
                self.calm.set()

    def _report_gap(self, writer: PartitionWriter, closed: Closed) -> None:
        self.event(
            FeedEvent(
                kind="gap",
                feed=self._feed,
                worker=self._worker,
                at_ms=time.time_ns() // 1_000_000,
                conid=writer.conid,
                symbol=writer.symbol,
                epoch=writer.epoch,
                from_ms=closed.gap.after,
                to_ms=closed.until,
                detail=f"{closed.gap.records} updates lost: {closed.gap.why}",
            ),
            writer.slot,
        )
