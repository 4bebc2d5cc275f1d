"""The connection to Kafka: made, checked, mended, served. What goes over it is the outbox's.

All of it belongs to the event loop, which also serves the client library's callbacks, every few milliseconds: a
thread of their own would fight the loop for the interpreter, at the price of a switch for each record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ibfeed_api.feed import Kafka
from ibfeed_api.records import SCHEMA_DEPTH, SCHEMA_TICK
from ibfeed_api.shard import KafkaStatus
from ibfeed_worker.backoff import Backoff
from ibfeed_worker.log import Log
from ibfeed_worker.publish.broker import Broker, BrokerError, Connect, connect
from ibfeed_worker.publish.channel import Channel
from ibfeed_worker.publish.outbox import Outbox
from ibfeed_worker.publish.tail import Question, Tail
from ibfeed_worker.publish.topics import judge

_log: Final = Log(__name__)
_POLL_S: Final = 0.025  # while anything is on its way
_IDLE_S: Final = 1.0
_VERIFY_PAUSE_S: Final = 1.0
_REPAIR_S: Final = 5.0


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
        self.outbox: Final = Outbox(
            worker=worker,
            feed=feed,
            topics=kafka.topics,
            may_write=may_write,
            on_departure=lambda: self._serve_in(_POLL_S),
            on_trouble=lambda text: self._troubled(text, beyond_repair=False),
        )
        self.status = KafkaStatus(reachable=False, message=f"connecting to {kafka.bootstrap_servers}")
        self._worker: Final = worker
        self._kafka: Final = kafka
        self._secret: Final = secret
        self._connect: Final = connect
        self._routes: Final = {
            SCHEMA_TICK: (kafka.topics.ticklast, self.outbox.counters.ticks),
            SCHEMA_DEPTH: (kafka.topics.l2_data, self.outbox.counters.books),
        }
        self._on_progress: Final = on_progress
        self._on_status: Final = on_status
        self._broker: Broker | None = None
        self._disturbed = asyncio.Event()
        self._beyond_repair = False
        self._last_error = ""
        self._task: asyncio.Task[None] | None = None
        self._next_poll: asyncio.TimerHandle | None = None

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
            _log.error(
                "records were lost: Kafka did not acknowledge them in time", records=self.outbox.backlog, limit=limit
            )
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._next_poll.cancel()
        if self._broker is not None:
            self._broker.abandon()
        self._broker = self.outbox.broker = None

    async def settle(self, limit: float) -> bool:
        """Wait until Kafka has answered for everything; False if it did not within ``limit`` seconds."""
        try:
            async with asyncio.timeout(limit):
                await self.outbox.calm.wait()
        except TimeoutError:
            return False
        return True

    def cut_off(self) -> None:
        """Give up all that Kafka has not answered for, at once. Whether Kafka has it is not known any more, not even
        to the client, so a new one takes its place."""
        if self._broker is not None:
            self.outbox.broker = None
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

    async def tails(self, channels: Sequence[Channel], *, anywhere: bool) -> dict[Channel, Tail]:
        """How far Kafka has them, whoever published them; never raises for Kafka's sake, the doubt says why not.

        ``anywhere``: nothing is remembered of them, not even the partition.
        """
        questions = [Question(channel.key, channel.partition, anywhere) for channel in channels]
        broker = self._broker
        if broker is None:
            return dict.fromkeys(channels, Tail(None, "there is no connection to Kafka"))
        try:
            topics = self._kafka.topics
            found = await asyncio.to_thread(broker.tails, topics.ticklast, topics.l2_data, questions)
        except BrokerError as error:
            return dict.fromkeys(channels, Tail(None, str(error)))
        return {channel: found[channel.key] for channel in channels}

    def _serve_in(self, seconds: float) -> None:
        if self._next_poll is not None:
            self._next_poll.cancel()
        self._next_poll = self._loop.call_later(seconds, self._serve)

    def _serve(self) -> None:
        """Serve the client library's callbacks, tell what they brought, use the room that there is now."""
        try:
            if self._broker is not None:
                self._broker.poll()
            for channel in self.outbox.after_answers():
                self._on_progress(channel)
        finally:
            self._serve_in(_POLL_S if self.outbox.in_flight else _IDLE_S)

    def _tell_trouble(self, text: str, beyond_repair: bool) -> None:
        """The client library has a problem."""
        self._troubled(text, beyond_repair=beyond_repair)

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
            self.outbox.broker = self._broker  # topics were checked
            self._set_status(True, "")
            self.outbox.push()
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
        self.outbox.broker = None
        broker.abandon()
        try:
            async with asyncio.timeout(_REPAIR_S):
                await self.outbox.landed.wait()
        except TimeoutError:
            _log.error("Kafka's client did not give its records back", records=self.outbox.in_flight)
        self._broker = None
