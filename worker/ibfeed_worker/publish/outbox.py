"""What is to go to Kafka: handed over, waiting for room, on its way, answered for.

Each record of the stream passes here twice, so this module is one of those that are compiled: no coroutines
(decision 25).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, final

import msgspec

from ibfeed_api.feed import Topics
from ibfeed_api.names import HEADER_EPOCH, HEADER_SCHEMA, HEADER_WORKER
from ibfeed_api.records import SCHEMA_EVENT, SCHEMA_TICK, DepthRecord, FeedEvent, Tick
from ibfeed_worker.publish.broker import Broker, BrokerError, Delivered, Full, Headers
from ibfeed_worker.publish.channel import Channel, Closed, Deliveries, Record

_EVENTS_AT_MOST: Final = 1000


@dataclass(slots=True)
class Counters:
    """Since the process started."""

    ticks: Deliveries = field(default_factory=Deliveries)
    books: Deliveries = field(default_factory=Deliveries)
    events: int = 0
    events_lost: int = 0


@final
class _Answer:
    """Waits for Kafka's answer to one record; ``before``: event time of the contract's record before it."""

    __slots__ = ("_before", "_channel", "_event_time", "_outbox", "_seq")

    def __init__(self, outbox: Outbox, channel: Channel, event_time: int, seq: int, before: int | None) -> None:
        self._outbox: Final = outbox
        self._channel: Final = channel
        self._event_time: Final = event_time
        self._seq: Final = seq
        self._before: Final = before

    def __call__(self, error: Any, _message: Any) -> None:
        self._outbox.told(self._channel, self._event_time, self._seq, self._before, error)


@final
class Outbox:
    """Never blocks, and loses nothing without saying so. Who owns it sees to the connection."""

    def __init__(
        self,
        *,
        worker: str,
        feed: str,
        topics: Topics,
        may_write: Callable[[], bool],
        on_departure: Callable[[], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        """``may_write`` is asked before each tick and each record of a book: while it says no, they wait.
        ``on_departure``: something is on its way, and nothing was before. ``on_trouble``: Kafka refused something."""
        self.counters: Final = Counters()
        self.broker: Broker | None = None  # who takes records; while there is none, they wait
        self.calm: Final = asyncio.Event()  # nothing is on its way or waiting
        self.calm.set()
        self.landed: Final = asyncio.Event()  # nothing is on its way
        self.landed.set()
        self.in_flight = 0
        self._worker: Final = worker
        self._feed: Final = feed
        self._events_topic: Final = topics.feed_events
        self._may_write: Final = may_write
        self._on_departure: Final = on_departure
        self._on_trouble: Final = on_trouble
        self._waiting: dict[Channel, None] = {}
        self._events: deque[tuple[FeedEvent, int]] = deque()
        self._touched: dict[Channel | None, None] = {}  # what Kafka has answered for since the last round; None: events
        self._encode: Final = msgspec.json.Encoder().encode

    @property
    def backlog(self) -> int:
        """Records that Kafka has not acknowledged."""
        return self.in_flight + len(self._waiting) + len(self._events)

    def publish(self, channel: Channel, tick: Tick) -> None:
        """Send a tick, or keep it until there is room; while Kafka does not keep up the latest of a contract wins."""
        channel.used = True
        if channel.waiting is None and self._hand_over(channel, tick):
            return
        self._keep(channel, tick)

    def publish_book(self, channel: Channel, record: DepthRecord, whole: Callable[[], DepthRecord]) -> None:
        """Send a record of an order book. A delta that there is no room for would mislead whoever gets the next one:
        it gives way to ``whole()``, the book as it is, which waits in its place."""
        channel.used = True
        if channel.waiting is None and self._hand_over(channel, record):
            return
        if record.kind == "delta":
            self.counters.books.conflated += channel.waiting is None
            record = whole()
        self._keep(channel, record)

    def event(self, event: FeedEvent, slot: int = 0) -> None:
        """Send an event, in order with the others."""
        if len(self._events) >= _EVENTS_AT_MOST:
            self._events.popleft()
            self.counters.events_lost += 1
        self._events.append((event, slot))
        self.calm.clear()
        self._push_events()

    def abandon(self, channel: Channel) -> None:
        """The contract is somebody else's by now: what has not been handed over must not follow."""
        channel.waiting = None
        self._waiting.pop(channel, None)
        self._settle_down()

    def push(self) -> None:
        """Hand over what waits, as far as there is room."""
        self._push_events()
        for channel in list(self._waiting):
            record = channel.waiting
            if record is None or self._hand_over(channel, record):
                channel.waiting = None
                del self._waiting[channel]
            else:
                return

    def after_answers(self) -> list[Channel]:
        """Use the room that there is, now that the client library has called back; returns whose answers came."""
        touched, self._touched = self._touched, {}
        if touched and (self._waiting or self._events):
            self.push()
        self._settle_down()
        return [channel for channel in touched if channel is not None]

    def told(self, channel: Channel, event_time: int, seq: int, before: int | None, error: Any) -> None:
        """Kafka's answer to one record."""
        self.in_flight -= 1
        self._touched[channel] = None
        if error is None:
            closed = channel.delivered(event_time, seq)
            if closed is not None and channel.schema == SCHEMA_TICK:  # a book is mended by its next snapshot
                self._report_gap(channel, closed)
        else:
            channel.failed(seq, str(error), after=before)
            self._on_trouble(str(error))

    def _told_of_event(self, error: Any, _message: Any) -> None:
        self.in_flight -= 1
        self._touched[None] = None
        if error is not None:
            self.counters.events_lost += 1
            self._on_trouble(str(error))

    def _keep(self, channel: Channel, record: Record) -> None:
        channel.deliveries.conflated += channel.wait(record)
        self._waiting[channel] = None
        self.calm.clear()

    def _hand_over(self, channel: Channel, record: Record) -> bool:
        if not self._may_write():
            return False
        time_ = record.event_time
        answer = _Answer(self, channel, time_, record.seq, channel.sent)
        if not self._produce(
            channel.topic, channel.partition, channel.key, self._encode(record), channel.headers, answer
        ):
            return False
        channel.in_flight += 1
        channel.sent = time_
        channel.deliveries.handed_over += 1
        return True

    def _produce(self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, told: Delivered) -> bool:
        broker = self.broker
        if broker is None:
            return False
        try:
            broker.produce(topic, partition, key, value, headers, told)
        except Full:
            return False
        except BrokerError as error:
            self._on_trouble(str(error))
            return False
        if not self.in_flight:
            self.landed.clear()
            self.calm.clear()
            self._on_departure()
        self.in_flight += 1
        return True

    def _push_events(self) -> None:
        topic = self._events_topic
        while self._events:
            event, slot = self._events[0]
            key = (self._worker if event.conid is None else str(event.conid)).encode()
            headers: Headers = [(HEADER_WORKER, self._worker.encode()), (HEADER_SCHEMA, SCHEMA_EVENT.encode())]
            if event.epoch is not None:
                headers.append((HEADER_EPOCH, str(event.epoch).encode()))
            told = self._told_of_event
            if not self._produce(topic.name, slot % topic.partitions, key, self._encode(event), headers, told):
                return
            self._events.popleft()
            self.counters.events += 1

    def _settle_down(self) -> None:
        if not self.in_flight:
            self.landed.set()
            if not self._waiting and not self._events:
                self.calm.set()

    def _report_gap(self, channel: Channel, closed: Closed) -> None:
        self.event(
            FeedEvent(
                kind="gap",
                feed=self._feed,
                worker=self._worker,
                at_ms=time.time_ns() // 1_000_000,
                conid=channel.conid,
                symbol=channel.symbol,
                epoch=channel.epoch,
                from_ms=closed.gap.after,
                to_ms=closed.until,
                detail=f"{closed.gap.records} updates lost: {closed.gap.why}",
            ),
            channel.slot,
        )
