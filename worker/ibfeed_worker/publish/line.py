"""The line to Kafka: one producer after the other, so that no record is lost or doubled between two of them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

from ibfeed_api.feed import Kafka, Topic
from ibfeed_api.kafka_security import NOBODY, KafkaCredentials
from ibfeed_api.log import Log
from ibfeed_worker.publish.broker import Broker, BrokerError, Connect
from ibfeed_worker.publish.counters import Deliveries
from ibfeed_worker.publish.metrics import LineCounters
from ibfeed_worker.publish.partition_writer import PartitionWriter
from ibfeed_worker.publish.refusals import Refusal, after_refusals
from ibfeed_worker.publish.send_queue import SendQueue
from ibfeed_worker.publish.survey import Survey, TopicLimits, affected, batch_size
from ibfeed_worker.publish.tail import Question, Tail
from ibfeed_worker.publish.trouble import Heard

_log: Final = Log(__name__)
_REPAIR_S: Final = 5.0
_HEARD_S: Final = 20.0
_REMARK_S: Final = 600.0
_FRAME: Final = 100  # the least bytes that a record has on Kafka beside its value
_SEARCHES: Final = 3  # searches for the records on Kafka, before they count as unknown

ReadSecrets = Callable[[], Awaitable[KafkaCredentials]]


class SecretsError(Exception):
    """The Secrets of ``spec.kafka`` cannot be used. The text says which, why, and what to do."""


async def no_secrets() -> KafkaCredentials:
    """Return the credentials for a Kafka that asks for none."""
    return NOBODY


class ProducerLine:
    """The line of producers to the feed's Kafka. One is in use at a time.

    ``broker`` is the present producer, if there is one; ``is_open`` once the send queue uses it. ``broken``: it is to
    be replaced.
    """

    def __init__(
        self,
        *,
        worker: str,
        kafka: Kafka,
        send_queue: SendQueue,
        routes: Mapping[str, tuple[Topic, Deliveries]],
        read_secrets: ReadSecrets,
        connect: Connect,
        on_disturbance: Callable[[], None],
    ) -> None:
        """Create the line without a producer; ``ready`` makes the first one.

        Args:
            routes: by schema, the topic and the counters of its records.
            read_secrets: raises SecretsError.
            on_disturbance: called, from any thread, after an event that should be looked at.
        """
        self.counters: Final = LineCounters()
        self.broker: Broker | None = None
        self.is_open = False
        self.opened_at = float("-inf")  # by the loop's clock
        self.broken = False
        self.limits: Mapping[str, TopicLimits] = {}
        self.denied: frozenset[str] = frozenset()
        self._asked = False  # whether Kafka told the topics' limits, and that we may write to them
        self._worker: Final = worker
        self._kafka: Final = kafka
        self._send_queue: Final = send_queue
        self._routes: Final = routes
        self._names: Final = tuple(topic.name for topic in kafka.topics.every)
        self._read_secrets: Final = read_secrets
        self._connect: Final = connect
        self._on_disturbance: Final = on_disturbance
        self._who: KafkaCredentials | None = None
        self._batch_size = kafka.batch_size
        self._heard: Final = deque[tuple[float, Heard]](maxlen=20)
        self._searches = 0
        self._remark = ""
        self._remark_until = 0.0

    @property
    def who(self) -> KafkaCredentials:
        """Our identity at Kafka."""
        return self._who or NOBODY

    @property
    def heard(self) -> list[Heard]:
        """The client library's complaints of late, the latest first."""
        since = time.monotonic() - _HEARD_S
        return [heard for at, heard in reversed(self._heard) if at >= since]

    @property
    def remark(self) -> str:
        """A remark that a person should know although records are acknowledged."""
        return self._remark if time.monotonic() < self._remark_until else ""

    async def ready(self) -> Broker:
        """Return the producer; if it is broken, a new one in its place.

        Records that it has not brought to Kafka are kept.

        Raises BrokerError or SecretsError.
        """
        if self.broker is None or self.broken:
            return await self._renew()
        return self.broker

    async def open(self, survey: Survey) -> None:
        """Let the send queue use the producer, and find out which records of an earlier one are on Kafka.

        Partitions whose leader does not answer wait until it does. Raises what ``ready`` raises.
        """
        broker = await self.ready()
        if not self.is_open and not self.broken:
            self._send_queue.resume(broker)
            self.is_open, self.opened_at = True, asyncio.get_running_loop().time()
        closed = affected(survey, self.limits)
        asked = [writer for writer in self._send_queue.doubtful if (writer.topic, writer.partition) not in closed]
        if not asked:
            self._searches = 0
            return
        self._searches += 1
        found = await self.tails(asked, anywhere=False)
        reached = {writer: _reached(writer, tail) for writer, tail in found.items()}
        if self._searches < _SEARCHES:
            reached = {writer: mark for writer, mark in reached.items() if mark is not None}
        self._send_queue.learn(reached)

    async def ask(self, broker: Broker) -> None:
        """Ask once for each producer what the topics take, and whether we may write to them, as far as Kafka tells.

        A producer that makes larger batches than a topic takes is replaced. Raises what ``ready`` raises.
        """
        if self._asked:
            return
        self.limits = await asyncio.to_thread(broker.limits, self._names)
        self.denied = await asyncio.to_thread(broker.denied, self._names)
        for topic, deliveries in self._routes.values():
            if (known := self.limits.get(topic.name)) is not None:
                deliveries.largest = known.largest_batch - _FRAME
        if (smaller := batch_size(self._kafka, self.limits)) < self._batch_size:
            self._batch_size = smaller
            await self._renew()
        self._asked = not self.denied

    async def ask_limits(self, broker: Broker) -> None:
        """Ask again what the topics take, for their settings may have been changed."""
        self.limits = await asyncio.to_thread(broker.limits, self._names)

    async def read_again(self) -> None:
        """Read the Secrets again, since Kafka refuses us: they may have changed. Raises SecretsError."""
        found = await self._read_secrets()
        if found != self._who:
            _log.info("the Secrets for Kafka have changed: connecting again with what they hold now")
            self._who = found
            self.broken = True

    async def tails(self, writers: Sequence[PartitionWriter], *, anywhere: bool) -> dict[PartitionWriter, Tail]:
        """Return how far Kafka has the ticks of these. It never raises on Kafka's account: the doubt says why not.

        ``anywhere``: nothing is remembered of them, not even the partition.
        """
        questions = [Question(writer.key, writer.partition, anywhere) for writer in writers]
        broker, topics = self.broker, self._kafka.topics
        if broker is None:
            return dict.fromkeys(writers, Tail(None, "there is no connection to Kafka"))
        try:
            found = await asyncio.to_thread(broker.tails, topics.ticklast, topics.l2_data, questions)
        except BrokerError as error:
            return dict.fromkeys(writers, Tail(None, str(error)))
        return {writer: found[writer.key] for writer in writers}

    def give_up(self, writers: Collection[PartitionWriter]) -> None:
        """Lose, at once and for good, the records of these that Kafka has not answered for.

        Not even the client knows any more whether Kafka has them, so another producer takes its place. Records of other
        contracts on their way go on with that one.
        """
        self._send_queue.give_up(writers)
        if self.broker is not None:
            self.counters.given_up += 1
            self.stop()
            self.broker.abandon()
            self.broken = True

    def refused(self) -> None:
        """Note that a record came back from the client library: only another producer sends it again in order."""
        self.stop()
        self.broken = True
        self._on_disturbance()

    def stop(self) -> None:
        """Stop the send queue's use of the producer; it keeps the records from now on."""
        self._send_queue.stop()
        self._asked = self.is_open = False

    async def _renew(self) -> Broker:
        self.stop()
        if self.broker is not None:
            await self._end(self.broker)
        alone, self._batch_size = after_refusals(self._send_queue.refusals, self._batch_size)
        for refusal in alone:
            self._drop(refusal)
        self._send_queue.refusals = []
        if self._who is None:
            self._who = await self._read_secrets()
        self.broken = False
        broker = self.broker = self._connect(self._kafka, self._who, self._worker, self._hear, self._batch_size)
        self.counters.producers += 1
        return broker

    async def _end(self, broker: Broker) -> None:
        broker.abandon()
        try:
            async with asyncio.timeout(_REPAIR_S):
                await self._send_queue.landed.wait()
        except TimeoutError:
            _log.error("Kafka's client did not give its records back", records=self._send_queue.in_flight)
        self.broker = None
        last = [broker]
        del broker
        await asyncio.to_thread(last.clear)  # the destructor waits for its threads

    def _drop(self, refusal: Refusal) -> None:
        """Drop a record that is too large for its topic, in whatever batch it is."""
        of = refusal.writer.symbol if refusal.writer is not None else "an event"
        self._remark = (
            f"a record of {refusal.size} bytes ({of}) is more than topic {refusal.topic} takes, and was left out:"
            " raise its max.message.bytes"
        )
        self._remark_until = time.monotonic() + _REMARK_S
        _log.error(
            "a record is too large",
            conid=refusal.writer.conid if refusal.writer else None,
            symbol=of,
            topic=refusal.topic,
            size=refusal.size,
        )
        self._send_queue.refuse(refusal)

    def _hear(self, heard: Heard, beyond_repair: bool) -> None:
        """Note an error of the client library. Called on the event loop, and from the threads of blocking calls."""
        self._heard.append((time.monotonic(), heard))
        self.broken = self.broken or beyond_repair
        self._on_disturbance()


def _reached(writer: PartitionWriter, tail: Tail) -> int | None:
    """Return the ``seq`` up to which Kafka has a partition writer's records; None if that is not known."""
    if tail.doubt:
        return None
    if tail.mark is None:
        return 0
    return tail.mark.seq if tail.mark_epoch <= writer.epoch else None
