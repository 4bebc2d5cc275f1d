"""The publisher: it proves, watches and reports that Kafka acknowledges our records.

The send queue knows which records go there, the line knows how. All of it belongs to the event loop, which also serves
the client library's callbacks, every few milliseconds. A thread of their own would fight the loop for the interpreter,
at the price of a switch for each record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NoReturn

from ibfeed_api.feed import Kafka, Topic
from ibfeed_api.reasons import Reason
from ibfeed_api.records import SCHEMA_DEPTH, SCHEMA_TICK, FeedEvent
from ibfeed_api.shard import KAFKA_ANSWER_S, KAFKA_PAUSE_S, KafkaStatus
from ibfeed_worker.publish import broker as edge
from ibfeed_worker.publish.admin import NoMetadataError, TopicCreationError
from ibfeed_worker.publish.broker import Broker, BrokerError, Connect, connect
from ibfeed_worker.publish.diagnosis import diagnose_bootstrap, diagnose_leader
from ibfeed_worker.publish.line import ProducerLine, ReadSecrets, SecretsError, no_secrets
from ibfeed_worker.publish.metrics import KafkaCollector
from ibfeed_worker.publish.partition_writer import Deliveries, PartitionWriter
from ibfeed_worker.publish.progress import Progress
from ibfeed_worker.publish.send_queue import SendQueue
from ibfeed_worker.publish.survey import Survey, affected, missing, topic_trouble, unanswered
from ibfeed_worker.publish.tail import Tail
from ibfeed_worker.publish.trouble import REFUSED, Trouble
from ibfeed_worker.runtime.backoff import Backoff
from ibfeed_worker.runtime.log import Log

_log: Final = Log(__name__)
_POLL_S: Final = 0.025  # while anything is on its way
_IDLE_S: Final = 1.0
_SWEEP_S: Final = 0.5
CHECK_S: Final = 2.0  # with a look's duration, it stays below ibfeed_api.shard.KAFKA_LOOK_S
_SHORTEST_PAUSE_S: Final = 0.5  # a burst of errors is one reason to look, not many
_LONGEST_PAUSE_S: Final = 5.0
_PROBE_S: Final = 60.0  # seconds without an acknowledgement; then one is asked for
_SPREADING_LOOKS: Final = 4
_LONGEST_TEXT: Final = 1000  # the CRD's limit is 1024


class Publisher:
    """The publisher of all contracts of a worker, by one producer at a time."""

    def __init__(
        self,
        *,
        worker: str,
        feed: str,
        kafka: Kafka,
        read_secrets: ReadSecrets = no_secrets,
        writers: Callable[[], Iterable[PartitionWriter]] = tuple,
        on_progress: Callable[[PartitionWriter], None],
        on_status: Callable[[], None],
        may_write: Callable[[], bool],
        connect: Connect = connect,
    ) -> None:
        """Create the publisher; ``start`` makes it work.

        Args:
            read_secrets: called before the first connection, and again when Kafka refuses us; raises SecretsError.
            writers: returns the partition writers in use.
            on_progress: called with a partition writer whose records were acknowledged or refused.
            on_status: called when ``status`` has changed, or whether a partition writer is ``stalled``.
            may_write: called before each tick and each record of a book; while it is False, they wait.

        The callbacks are called on the event loop.
        """
        self.send_queue: Final = SendQueue(
            worker=worker,
            feed=feed,
            topics=kafka.topics,
            room=edge.QUEUE_RECORDS,
            may_write=may_write,
            on_departure=lambda: self._serve_in(_POLL_S),
            on_refusal=lambda: self._line.refused(),
        )
        self.status = KafkaStatus(message=f"connecting to {kafka.bootstrap_servers}")
        self._worker: Final = worker
        self._feed: Final = feed
        self._kafka: Final = kafka
        self._writers: Final = writers
        self._routes: Final[dict[str, tuple[Topic, Deliveries]]] = {
            SCHEMA_TICK: (kafka.topics.ticklast, self.send_queue.counters.ticks),
            SCHEMA_DEPTH: (kafka.topics.l2_data, self.send_queue.counters.books),
        }
        self._line: Final = ProducerLine(
            worker=worker,
            kafka=kafka,
            send_queue=self.send_queue,
            routes=self._routes,
            read_secrets=read_secrets,
            connect=connect,
            on_disturbance=self._disturb,
        )
        self.collector: Final = KafkaCollector(self._line.counters, self.send_queue, lambda: len(self._late))
        self._names: Final = tuple(topic.name for topic in kafka.topics.every)
        self._on_progress: Final = on_progress
        self._on_status: Final = on_status
        self._survey: Survey | None = None
        self._progress: Final = Progress[PartitionWriter | None]()
        self._late: Mapping[PartitionWriter | None, float] = {}  # None: events
        self._sweep_at = 0.0
        self._acknowledged = 0
        self._acknowledged_at = float("-inf")  # when a record that the present producer sent was acknowledged last
        self._answered = asyncio.Event()
        self._disturbed = asyncio.Event()
        self._task: asyncio.Task[NoReturn] | None = None
        self._next_poll: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._supervise(), name="kafka")
        self._serve()

    async def close(self, limit: float) -> None:
        """Wait at most ``limit`` seconds for records on their way, then give up the rest, and log how many.

        A Kafka that is away is not waited for.
        """
        if self._task is None or self._next_poll is None:
            return
        limit = limit if self.status.reachable else 0.0
        if not await self.settle(limit):
            _log.error(
                "records were lost: Kafka did not acknowledge them in time",
                records=self.send_queue.backlog,
                limit=limit,
            )
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._next_poll.cancel()
        self._line.stop()
        if self._line.broker is not None:
            self._line.broker.abandon()

    async def settle(self, limit: float) -> bool:
        """Wait until Kafka has answered for everything; False if it did not within ``limit`` seconds."""
        try:
            async with asyncio.timeout(limit):
                await self.send_queue.calm.wait()
        except TimeoutError:
            return False
        return True

    def give_up(self, writers: Collection[PartitionWriter], why: str) -> None:
        """Lose, at once and for good, the records of these that Kafka has not answered for.

        Another worker may publish these contracts in a moment.
        """
        _log.warning("records are given up", why=why, writers=len(writers), in_flight=self.send_queue.in_flight)
        self._line.give_up(writers)
        self._disturbed.set()
        self._serve_in(0.0)

    def writer(self, conid: int, symbol: str, *, slot: int, epoch: int, schema: str) -> PartitionWriter:
        """Return a contract's way to the topic of ``schema`` for one epoch."""
        topic, deliveries = self._routes[schema]
        return PartitionWriter(
            worker=self._worker,
            conid=conid,
            symbol=symbol,
            slot=slot,
            epoch=epoch,
            schema=schema,
            topic=topic,
            deliveries=deliveries,
        )

    async def tails(self, writers: Sequence[PartitionWriter], *, anywhere: bool) -> dict[PartitionWriter, Tail]:
        """Return how far Kafka has them, from any publisher.

        It never raises on Kafka's account: the doubt says why not.

        ``anywhere``: nothing is remembered of them, not even the partition.
        """
        return await self._line.tails(writers, anywhere=anywhere)

    # Serving the client library.

    def _serve_in(self, seconds: float) -> None:
        if self._next_poll is not None:
            self._next_poll.cancel()
        self._next_poll = self._loop.call_later(seconds, self._serve)

    def _serve(self) -> None:
        """Serve the client library's callbacks, report their results, and use the room that there is now."""
        try:
            if self._line.broker is not None:
                self._line.broker.poll()
            for writer in self.send_queue.after_answers():
                self._on_progress(writer)
            self._count_answers()
            if self._loop.time() >= self._sweep_at:
                self._sweep()
        finally:
            self._serve_in(_POLL_S if self.send_queue.in_flight else _IDLE_S)

    def _count_answers(self) -> None:
        counters, send_queue = self.send_queue.counters, self.send_queue
        count = (
            counters.ticks.acknowledged
            + counters.books.acknowledged
            + send_queue.events_acknowledged
            - send_queue.learned
        )
        if count != self._acknowledged:
            self._acknowledged = count
            if self._line.is_open:
                self._acknowledged_at = self._loop.time()
                self._answered.set()

    def _sweep(self) -> None:
        """Notice the partition writers whose records wait for too long."""
        now = self._loop.time()
        self._sweep_at = now + _SWEEP_S
        counts: dict[PartitionWriter | None, tuple[int, int]] = {
            writer: (writer.answered, writer.in_flight) for writer in self._writers()
        }
        counts[None] = (self.send_queue.events_answered, self.send_queue.events_in_flight)
        late = self._progress.look(counts, now)
        if late.keys() - self._late.keys() or (self._late and not late):
            self._disturbed.set()
        self._late = late
        if late:
            self._doubt(f"records have not been acknowledged for {KAFKA_ANSWER_S:g} s")
        self._mark_stalled()

    def _disturb(self) -> None:
        """Have Kafka looked at soon. Called from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._disturbed.set)

    # Reporting the state.

    def _doubt(self, what: str) -> None:
        """Report at once that records cannot be published; to find out why not may take as long again."""
        if self.status.reachable:
            text = f"{what} by {self._kafka.bootstrap_servers}; looking for the cause"
            self._report(Trouble(Reason.KAFKA_UNANSWERED, text))

    def _report(self, trouble: Trouble | None) -> None:
        if trouble is None:
            remark = self._line.remark
            status = KafkaStatus(reachable=True, reason=str(Reason.KAFKA_TOO_LARGE) if remark else "", message=remark)
        else:
            status = KafkaStatus(reachable=False, reason=str(trouble.reason), message=trouble.text[:_LONGEST_TEXT])
        if status != self.status:
            if status.reason and status.reason != self.status.reason:
                self._line.counters.troubles[status.reason] += 1
            self.status = status
            tell = _log.info if status.reachable else _log.warning
            tell("Kafka", reachable=status.reachable, reason=status.reason, message=status.message)
            self._on_status()
        self._mark_stalled()

    def _mark_stalled(self) -> None:
        """Set for each partition writer whether Kafka takes its records."""
        known = self._survey is not None and self._line.is_open
        closed = affected(self._survey, self._line.limits) if known and self._survey is not None else None
        changed = False
        for writer in self._writers():
            shut = closed is None or (writer.topic, writer.partition) in closed
            # Before the first result a writer is not stalled: it has published nothing either.
            stalled = writer in self._late or (shut and self.status.reachable is False)
            changed = changed or stalled is not writer.stalled
            writer.stalled = stalled
        if changed:
            self._on_status()

    # Looking at Kafka.

    async def _supervise(self) -> NoReturn:
        """Look for ever whether records can be published, report it, and mend what can be mended."""
        pause = Backoff(_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S)
        refused = Backoff(1.0, KAFKA_PAUSE_S)  # each try is one more wrong password
        while True:
            self._disturbed.clear()
            trouble = await self._look_safely()
            self._report(trouble)
            if trouble is None:
                pause.reset()
                refused.reset()
                await self._rest(CHECK_S)
            elif trouble.reason in REFUSED:
                await asyncio.sleep(refused.next())
            else:
                await self._rest(pause.next())

    async def _rest(self, seconds: float) -> None:
        """Wait until something happens, but not for longer than ``seconds``."""
        await asyncio.sleep(min(seconds, _SHORTEST_PAUSE_S))
        try:
            async with asyncio.timeout(max(0.0, seconds - _SHORTEST_PAUSE_S)):
                await self._disturbed.wait()
        except TimeoutError:
            return

    async def _look_safely(self) -> Trouble | None:
        """Do `_look`, whatever it raises. This task must not end, and a failure must not go unreported."""
        try:
            trouble = await self._look()
            if trouble is not None and trouble.reason in REFUSED:
                await self._line.read_again()
            return trouble
        except BrokerError as error:
            trouble = Trouble(Reason.KAFKA_CONFIG, self._line.who.scrub(str(error)))
        except SecretsError as error:
            trouble = Trouble(Reason.KAFKA_SECRET, str(error))
        except Exception as error:  # noqa: BLE001 - the last place that can say why
            text = f"{type(error).__name__}: {self._line.who.scrub(str(error))}"
            _log.error("looking at Kafka failed", error=text)
            trouble = Trouble(Reason.WORKER_FAILED, f"the worker cannot look at Kafka, and tries again: {text}")
        self._survey = None
        return trouble

    async def _look(self) -> Trouble | None:
        """Return what keeps records from being acknowledged; None if they are. Raises BrokerError or SecretsError."""
        line, kafka = self._line, self._kafka
        broker = await line.ready()
        try:
            survey = self._survey = await self._look_at_topics(broker)
        except NoMetadataError:
            self._survey = None
            self._doubt("no answer is given")
            return await diagnose_bootstrap(kafka, line.who, line.heard)
        except TopicCreationError as error:
            self._survey = None
            advice = "allow us Create, or create it and set kafka.createTopics to false"
            return Trouble(Reason.KAFKA_RIGHTS if error.denied else Reason.KAFKA_TOPIC, f"{error}; {advice}")
        if not survey.silent:  # a silent broker may be the one that this would be asked of
            await line.ask(broker)
        trouble = topic_trouble(kafka, survey, line.limits, line.denied)
        if trouble is not None and trouble.reason in (Reason.KAFKA_TOPIC, Reason.KAFKA_RIGHTS):
            return trouble
        await line.open(survey)
        if survey.silent:
            self._doubt("not every question is answered")
            return await diagnose_leader(survey, kafka, line.who, line.heard)
        return trouble or await self._why_late(survey) or await self._prove(survey)

    async def _look_at_topics(self, broker: Broker) -> Survey:
        """Look at the topics; create missing ones if we are to. Raises NoMetadataError or TopicCreationError."""
        survey = await asyncio.to_thread(broker.survey, self._names)
        lacking = missing(self._kafka, survey)
        if lacking and self._kafka.create_topics:
            await asyncio.to_thread(broker.create, lacking)
            for _ in range(_SPREADING_LOOKS):  # the brokers need a moment to tell each other
                survey = await asyncio.to_thread(broker.survey, self._names)
                if not missing(self._kafka, survey):
                    break
                await asyncio.sleep(_SHORTEST_PAUSE_S)
        return survey

    async def _why_late(self, survey: Survey) -> Trouble | None:
        """Return why records wait although nothing is wrong with their brokers; None if none do."""
        late, broker = dict(self._late), self._line.broker
        if not late or broker is None:
            return None
        writer = max(late, key=lambda writer: late[writer])
        topic = writer.topic if writer is not None else self._kafka.topics.feed_events.name
        await self._line.ask_limits(broker)
        return unanswered(topic, survey, self._line.limits, KAFKA_ANSWER_S)

    async def _prove(self, survey: Survey) -> Trouble | None:
        """See to it that a record was acknowledged lately: by a probe, if there was nothing else to publish."""
        line, begun = self._line, self._loop.time()
        if self._acknowledged_at >= max(line.opened_at, begun - _PROBE_S):
            return None
        if not self.send_queue.events_in_flight:
            line.counters.probes += 1
            self.send_queue.event(
                FeedEvent(kind="alive", feed=self._feed, worker=self._worker, at_ms=time.time_ns() // 1_000_000)
            )
        try:
            async with asyncio.timeout(KAFKA_ANSWER_S):
                while self._acknowledged_at < begun:
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            return unanswered(self._kafka.topics.feed_events.name, survey, line.limits, KAFKA_ANSWER_S)
        return None
