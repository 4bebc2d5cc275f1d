"""Moves ticks, order books and events to Kafka. Never blocks its callers, and loses nothing without saying so.

All of it belongs to the event loop, which also serves the client library's callbacks, every few milliseconds: a
thread of their own would fight the loop for the interpreter, at the price of a switch for each record.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from ibfeed_api.feed import Kafka
from ibfeed_api.names import HEADER_EPOCH, HEADER_SCHEMA, HEADER_WORKER
from ibfeed_api.records import SCHEMA_DEPTH, SCHEMA_EVENT, SCHEMA_TICK, DepthRecord, FeedEvent, Tick
from ibfeed_api.shard import KafkaStatus
from ibfeed_worker.backoff import Backoff
from ibfeed_worker.log import Log
from ibfeed_worker.publish.broker import Broker, BrokerError, Connect, Delivered, Full, Headers, connect
from ibfeed_worker.publish.channel import Channel, Closed, Deliveries, Record
from ibfeed_worker.publish.tail import Tail
from ibfeed_worker.publish.topics import judge

_log: Final = Log(__name__)
_EVENTS_AT_MOST: Final = 1000
_POLL_S: Final = 0.025  # while anything is on its way
_IDLE_S: Final = 1.0
_VERIFY_PAUSE_S: Final = 1.0
_REPAIR_S: Final = 5.0


@dataclass(slots=True)
class Counters:
    """Since the process started."""

    ticks: Deliveries = field(default_factory=Deliveries)
    books: Deliveries = field(default_factory=Deliveries)
    events: int = 0
    events_lost: int = 0


class Publisher:
    """One producer for all contracts of a worker."""

    def __init__(
        self,
        *,
        worker: str,
        feed: str,
        kafka: Kafka,
        secret: Mapping[str, bytes],
        on_progress: Callable[[Channel], None],
        on_status: Callable[[], None],
        may_write: Callable[[], bool],
        connect: Connect = connect,
    ) -> None:
        """``on_progress`` is told of a channel whose records were acknowledged or refused; ``on_status`` that
        ``status`` has changed. Both are called on the event loop. ``may_write`` is asked before each tick and each
        record of a book: while it says no, they wait."""
        self.counters: Final = Counters()
        self.status = KafkaStatus(reachable=False, message=f"connecting to {kafka.bootstrap_servers}")
        self._worker: Final = worker
        self._feed: Final = feed
        self._kafka: Final = kafka
        self._secret: Final = secret
        self._connect: Final = connect
        self._routes: Final = {
            SCHEMA_TICK: (kafka.topics.ticklast, self.counters.ticks),
            SCHEMA_DEPTH: (kafka.topics.l2_data, self.counters.books),
        }
        self._on_progress: Final = on_progress
        self._on_status: Final = on_status
        self._may_write: Final = may_write
        self._broker: Broker | None = None
        self._usable = False  # topics were checked
        self._waiting: dict[Channel, None] = {}
        self._events: deque[tuple[FeedEvent, int]] = deque()
        self._in_flight = 0
        self._calm = asyncio.Event()  # nothing is on its way or waiting
        self._calm.set()
        self._landed = asyncio.Event()  # nothing is on its way
        self._landed.set()
        self._touched: dict[Channel | None, None] = {}  # what Kafka has answered for since the last round; None: events
        self._disturbed = asyncio.Event()
        self._beyond_repair = False
        self._last_error = ""
        self._task: asyncio.Task[None] | None = None
        self._next_poll: asyncio.TimerHandle | None = None
        self._encode: Final = msgspec.json.Encoder().encode

    @property
    def backlog(self) -> int:
        """Records that Kafka has not acknowledged."""
        return self._in_flight + len(self._waiting) + len(self._events)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._supervise(), name="kafka")
        self._serve()

    async def close(self, limit: float) -> None:
        """Wait at most ``limit`` seconds for what is on its way, then give up the rest, and say how much it was.

        A Kafka that is away is not waited for.
        """
        if self._task is None or self._next_poll is None:
            return
        limit = limit if self.status.reachable else 0.0
        if not await self.settle(limit):
            _log.error("records were lost: Kafka did not acknowledge them in time", records=self.backlog, limit=limit)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._next_poll.cancel()
        if self._broker is not None:
            self._broker.abandon()
        self._broker = None

    async def settle(self, limit: float) -> bool:
        """Wait until Kafka has answered for everything; False if it did not within ``limit`` seconds."""
        try:
            async with asyncio.timeout(limit):
                await self._calm.wait()
        except TimeoutError:
            return False
        return True

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

    def _keep(self, channel: Channel, record: Record) -> None:
        channel.deliveries.conflated += channel.wait(record)
        self._waiting[channel] = None
        self._calm.clear()

    def abandon(self, channel: Channel) -> None:
        """The contract is somebody else's by now: what has not been handed over must not follow."""
        channel.waiting = None
        self._waiting.pop(channel, None)
        self._settle_down()

    def cut_off(self) -> None:
        """Give up all that Kafka has not answered for, at once. Whether Kafka has it is not known any more, not even
        to the client, so a new one takes its place."""
        if self._broker is not None:
            self._usable = False
            self._broker.abandon()
            self._troubled("the account's Lease was lost", beyond_repair=True)

    def channel(self, conid: int, symbol: str, *, slot: int, epoch: int, schema: str) -> Channel:
        """A contract's way to the topic of ``schema`` for one epoch."""
        topic, deliveries = self._routes[schema]
        return Channel(
            worker=self._worker,
            conid=conid,
            symbol=symbol,
            slot=slot,
            epoch=epoch,
            schema=schema,
            topic=topic,
            deliveries=deliveries,
        )

    async def tails(self, channels: Sequence[Channel]) -> dict[Channel, Tail]:
        """How far Kafka has them, whoever published them; never raises for Kafka's sake, the doubt says why not."""
        topic, _ = self._routes[SCHEMA_TICK]
        wanted: dict[int, set[bytes]] = {}
        for channel in channels:
            wanted.setdefault(channel.slot % topic.partitions, set()).add(channel.key)
        broker = self._broker
        if broker is None:
            return dict.fromkeys(channels, Tail(None, "there is no connection to Kafka"))
        try:
            found = await asyncio.to_thread(broker.tails, topic.name, wanted)
        except BrokerError as error:
            return dict.fromkeys(channels, Tail(None, str(error)))
        return {channel: found[channel.key] for channel in channels}

    def event(self, event: FeedEvent, slot: int = 0) -> None:
        """Send an event, in order with the others."""
        if len(self._events) >= _EVENTS_AT_MOST:
            self._events.popleft()
            self.counters.events_lost += 1
        self._events.append((event, slot))
        self._calm.clear()
        self._push_events()

    def _hand_over(self, channel: Channel, record: Record) -> bool:
        if not self._may_write():
            return False
        time, seq = record.event_time, record.seq
        told = partial(self._told, channel, time, seq, channel.sent)
        if not self._produce(
            channel.topic, channel.partition, channel.key, self._encode(record), channel.headers, told
        ):
            return False
        channel.in_flight += 1
        channel.sent = time
        channel.deliveries.handed_over += 1
        return True

    def _produce(self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, told: Delivered) -> bool:
        broker = self._broker
        if broker is None or not self._usable:
            return False
        try:
            broker.produce(topic, partition, key, value, headers, told)
        except Full:
            return False
        except BrokerError as error:
            self._troubled(str(error), beyond_repair=False)
            return False
        if not self._in_flight:
            self._landed.clear()
            self._calm.clear()
            self._serve_in(_POLL_S)
        self._in_flight += 1
        return True

    def _push(self) -> None:
        self._push_events()
        for channel in list(self._waiting):
            record = channel.waiting
            if record is None or self._hand_over(channel, record):
                channel.waiting = None
                del self._waiting[channel]
            else:
                return

    def _push_events(self) -> None:
        topic = self._kafka.topics.feed_events
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

    def _serve_in(self, seconds: float) -> None:
        if self._next_poll is not None:
            self._next_poll.cancel()
        self._next_poll = self._loop.call_later(seconds, self._serve)

    def _serve(self) -> None:
        """Serve the client library's callbacks, tell what they brought, use the room that there is now."""
        try:
            if self._broker is not None:
                self._broker.poll()
            touched, self._touched = self._touched, {}
            if touched and (self._waiting or self._events):
                self._push()
            self._settle_down()
            for channel in touched:
                if channel is not None:
                    self._on_progress(channel)
        finally:
            self._serve_in(_POLL_S if self._in_flight else _IDLE_S)

    def _told(self, channel: Channel, event_time: int, seq: int, before: int | None, error: Any, _message: Any) -> None:
        """Kafka's answer to one record; ``before``: event time of the contract's record before it."""
        self._in_flight -= 1
        self._touched[channel] = None
        if error is None:
            closed = channel.delivered(event_time, seq)
            if closed is not None and channel.schema == SCHEMA_TICK:  # a book is mended by its next snapshot
                self._report_gap(channel, closed)
        else:
            channel.failed(seq, str(error), after=before)
            self._troubled(str(error), beyond_repair=False)

    def _told_of_event(self, error: Any, _message: Any) -> None:
        self._in_flight -= 1
        self._touched[None] = None
        if error is not None:
            self.counters.events_lost += 1
            self._troubled(str(error), beyond_repair=False)

    def _tell_trouble(self, text: str, beyond_repair: bool) -> None:
        """The client library has a problem."""
        self._troubled(text, beyond_repair=beyond_repair)

    def _settle_down(self) -> None:
        if not self._in_flight:
            self._landed.set()
            if not self._waiting and not self._events:
                self._calm.set()

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

    def _troubled(self, text: str, *, beyond_repair: bool) -> None:
        self._last_error = text
        self._beyond_repair = self._beyond_repair or beyond_repair
        self._disturbed.set()

    def _set_status(self, reachable: bool, message: str) -> None:
        status = KafkaStatus(reachable=reachable, message=message)
        if status != self.status:
            self.status = status
            (_log.info if reachable else _log.warning)("Kafka", reachable=reachable, message=message)
            self._on_status()

    async def _supervise(self) -> None:
        """Check Kafka at the start and after every trouble, until it is as the feed says; then wait for the next."""
        backoff = Backoff(first=0.5, most=5.0)
        while True:
            self._disturbed.clear()
            try:
                problem = await self._verify()
            except BrokerError as error:
                problem = self._last_error or str(error)
            if problem:
                self._set_status(False, problem)
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            self._last_error = ""
            self._usable = True
            self._set_status(True, "")
            self._push()
            await asyncio.sleep(_VERIFY_PAUSE_S)  # a burst of errors is one reason to look, not many
            await self._disturbed.wait()

    async def _verify(self) -> str:
        """What is wrong, or empty. Raises BrokerError."""
        broker = self._broker
        if broker is not None and self._beyond_repair:
            await self._give_up(broker)
            broker = None
        if broker is None:
            broker = self._connect(self._kafka, self._secret, self._worker, self._tell_trouble)
            self._broker = broker
            self._beyond_repair = False
        verdict = judge(self._kafka.topics, await asyncio.to_thread(broker.partitions))
        if verdict.missing and not self._kafka.create_topics:
            names = ", ".join(topic.name for topic in verdict.missing)
            return f"Kafka has no topic {names} and kafka.createTopics is false: create it, or allow it"
        if verdict.missing and not verdict.wrong:
            await asyncio.to_thread(broker.create, verdict.missing)
            verdict = judge(self._kafka.topics, await asyncio.to_thread(broker.partitions))
            if verdict.missing:  # the brokers spread the news among themselves; the next round finds them
                return "waiting for new topics " + ", ".join(topic.name for topic in verdict.missing)
        return verdict.wrong

    async def _give_up(self, broker: Broker) -> None:
        """End a producer that reported a fatal error: its records count as lost, and the channels say so."""
        _log.error("Kafka's client is beyond repair; starting a new one", error=self._last_error)
        self._usable = False
        broker.abandon()
        try:
            async with asyncio.timeout(_REPAIR_S):
                await self._landed.wait()
        except TimeoutError:
            _log.error("Kafka's client did not give its records back", records=self._in_flight)
        self._broker = None
