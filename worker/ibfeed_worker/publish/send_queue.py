"""The queue of records for Kafka: waiting for room, handed over, on their way, answered for.

Each record of the stream passes here twice, so this is one of the compiled modules: no coroutines (ADR 25).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, final

import msgspec

from ibfeed_api.feed import Topics
from ibfeed_api.records import SCHEMA_TICK, DepthRecord, FeedEvent, Tick
from ibfeed_worker.publish.broker import (
    TOO_LARGE,
    Broker,
    BrokerError,
    Delivered,
    Headers,
    QueueFullError,
    UnsendableError,
)
from ibfeed_worker.publish.counters import PublishCounters
from ibfeed_worker.publish.delivery import AnswerReceiver, Delivery
from ibfeed_worker.publish.event_queue import EventQueue
from ibfeed_worker.publish.kept_records import KeptRecords
from ibfeed_worker.publish.partition_writer import PartitionWriter, Record
from ibfeed_worker.publish.refusals import Refusal, is_of_the_record, is_of_the_size

# One of so many ticks of a contract gives a latency. Never its first: IB sends a snapshot, whose time may be old.
_SAMPLED: Final = 16
_TRIES_AT_MOST: Final = 2  # tries of a record that Kafka refuses for its own sake
GIVEN_UP: Final = "given up while Kafka could not be reached"
NOT_KNOWN: Final = "whether Kafka has them could not be found out"


@final
class SendQueue(AnswerReceiver):
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
        self.learned = 0  # records that were found on Kafka after their producer was gone
        self.refusals: list[Refusal] = []  # of the present producer
        self.events: Final = EventQueue(
            worker=worker,
            feed=feed,
            topic=topics.feed_events,
            counters=self.counters,
            produce=self._produce_event,
            on_answer=self._on_event_answer,
        )
        self._room: Final = room
        self._may_write: Final = may_write
        self._on_departure: Final = on_departure
        self._on_refusal: Final = on_refusal
        self._waiting: dict[PartitionWriter, None] = {}
        self._kept: Final = KeptRecords()
        # Writers that Kafka has answered for since the last round. None: events.
        self._touched: dict[PartitionWriter | None, None] = {}
        self._encode: Final = msgspec.json.Encoder().encode

    @property
    def kept(self) -> int:
        """Number of records that wait for the next producer."""
        return self._kept.count

    @property
    def backlog(self) -> int:
        """Number of records that Kafka has not acknowledged."""
        return self.in_flight + self._kept.count + len(self._waiting) + len(self.events)

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
        self.events.add(event, slot)
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
            writer.over = True
        for delivery in self._kept.remove_all(writers):
            self._fail(delivery, GIVEN_UP)
        self._settle_down()

    @property
    def doubtful(self) -> list[PartitionWriter]:
        """The writers whose kept records wait until it is known whether an earlier producer brought them to Kafka."""
        return self._kept.doubtful

    def learn(self, reached: Mapping[PartitionWriter, int | None]) -> None:
        """Settle doubtful records, so that those that are not on Kafka can be sent again.

        Args:
            reached: the ``seq`` up to which Kafka has a writer's records; None if that cannot be known. Such records
                are lost, since sending them again could double them.
        """
        for writer, mark in reached.items():
            for delivery in self._kept.settle(writer, mark):
                if mark is None:
                    self._fail(delivery, NOT_KNOWN)
                else:
                    self.learned += 1
                    self._acknowledge(delivery)
        self.push()

    def resume(self, broker: Broker) -> None:
        """Go on with this producer. Kept records go first, but for the ``doubtful`` ones."""
        self.refusals = []
        self.broker = broker
        self.push()

    def refuse(self, refusal: Refusal) -> None:
        """Give up a record, or an event, that came back: it is too large for its topic."""
        if refusal.writer is None:
            self.events.refuse(refusal.seq)
        elif (delivery := self._kept.remove(refusal.writer, refusal.seq)) is not None:
            self._fail(delivery, TOO_LARGE)

    def stop(self) -> None:
        """Go on without a producer: records are kept."""
        self.broker = None

    def push(self) -> None:
        """Hand over waiting records, as far as there is room."""
        if not self._kept.push(self._send_kept):
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
        """Use the room that there is, now that the client library has called back. Return the writers answered for."""
        touched, self._touched = self._touched, {}
        if touched and (self._waiting or self._kept.count or len(self.events)):
            self.push()
        self._settle_down()
        return [writer for writer in touched if writer is not None]

    def answered(self, delivery: Delivery, error: Any, message: Any) -> None:
        """Take Kafka's answer to one record."""
        self.in_flight -= 1
        if error is None:
            self._acknowledge(delivery)
        else:
            self._take_back(delivery, error, message)

    def _on_event_answer(self, error: Any, refusal: Refusal | None) -> None:
        self.in_flight -= 1
        self._touched[None] = None
        if refusal is not None:
            self.refusals.append(refusal)
        if error is not None:
            self._on_refusal()

    def _acknowledge(self, delivery: Delivery) -> None:
        writer = delivery.writer
        self._touched[writer] = None
        closed = writer.delivered(delivery.event_time, delivery.seq)
        if writer.answered % _SAMPLED == 0 and writer.schema == SCHEMA_TICK:
            self.counters.latency.observe(max(0.0, time.time() - delivery.event_time / 1000))
        if closed is not None and writer.schema == SCHEMA_TICK:  # a book is mended by its next snapshot
            self.events.add_gap(writer, closed)
            self._push_events()

    def _fail(self, delivery: Delivery, why: str) -> None:
        writer = delivery.writer
        self._touched[writer] = None
        writer.failed(delivery.seq, why, after=delivery.before)

    def _take_back(self, delivery: Delivery, error: Any, message: Any) -> None:
        """Take a record back that Kafka has refused, or whose producer is being replaced.

        Send it again if that may help.
        """
        writer = delivery.writer
        value = message.value() if message is not None else None
        if value is not None and is_of_the_size(error):
            self.refusals.append(Refusal(writer.topic, writer.partition, writer, delivery.seq, len(value)))
        elif is_of_the_record(error):
            delivery.refusals += 1
        # A book is mended by its next snapshot.
        if (
            writer.over
            or value is None
            or writer.schema != SCHEMA_TICK
            or self._kept.count >= self._room
            or delivery.refusals >= _TRIES_AT_MOST
        ):
            self._fail(delivery, str(error))
        else:
            self._touched[writer] = None
            writer.deliveries.again += 1
            self._keep(delivery, value, tried=True)
        self._on_refusal()

    def _keep(self, delivery: Delivery, value: bytes, *, tried: bool) -> None:
        self._kept.keep(delivery, value, tried=tried)
        self.calm.clear()

    def _send_kept(self, delivery: Delivery, value: bytes) -> bool:
        broker = self.broker
        return broker is not None and self._may_write() and self._send(broker, delivery, value)

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
        delivery = Delivery(writer, time_, record.seq, writer.sent, self)
        broker = self.broker
        writer.in_flight += 1
        if len(value) > writer.deliveries.largest:
            self._fail(delivery, TOO_LARGE)
        elif broker is not None and not writer.queued and self._send(broker, delivery, value):
            writer.sent = time_
        elif (self.broker is None or writer.queued) and writer.schema == SCHEMA_TICK and self._kept.count < self._room:
            self._keep(delivery, value, tried=False)  # there was no producer, or it has just gone
            writer.sent = time_
        else:
            writer.in_flight -= 1
            return False
        writer.deliveries.handed_over += 1
        return True

    def _send(self, broker: Broker, delivery: Delivery, value: bytes) -> bool:
        """Send a record. Return whether it needs no more care: it is on its way, or no producer can send it."""
        writer = delivery.writer
        try:
            return self._produce(broker, writer.topic, writer.partition, writer.key, value, writer.headers, delivery)
        except UnsendableError as error:
            self._fail(delivery, str(error))
            return True

    def _produce(
        self, broker: Broker, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, told: Delivered
    ) -> bool:
        """Give a record to the client library; return whether it took it. Raises UnsendableError."""
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

    def _produce_event(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, told: Delivered
    ) -> bool:
        broker = self.broker
        return broker is not None and self._produce(broker, topic, partition, key, value, headers, told)

    def _push_events(self) -> None:
        if len(self.events):
            self.calm.clear()
        if self.broker is not None:
            self.events.push()

    def _settle_down(self) -> None:
        if not self.in_flight:
            self.landed.set()
            if not self._kept.count and not self._waiting and not len(self.events):
                self.calm.set()
