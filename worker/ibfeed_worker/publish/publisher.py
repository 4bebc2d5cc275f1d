"""The publisher: it proves, watches and reports that Kafka acknowledges our records.

The send queue knows which records go there, the line knows how. All of it belongs to the event loop, which also serves
the client library's callbacks, every few milliseconds. A thread of their own would fight the loop for the interpreter,
at the price of a switch for each record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NoReturn

from ibfeed_api.backoff import Backoff
from ibfeed_api.feed import Kafka, Topic
from ibfeed_api.log import Log
from ibfeed_api.reasons import Reason
from ibfeed_api.records import SCHEMA_DEPTH, SCHEMA_TICK
from ibfeed_api.shard import KAFKA_ANSWER_S, KAFKA_PAUSE_S, KafkaStatus
from ibfeed_worker.publish import broker as edge
from ibfeed_worker.publish.broker import Connect, connect
from ibfeed_worker.publish.counters import Deliveries
from ibfeed_worker.publish.inspection import Inspection
from ibfeed_worker.publish.line import ProducerLine, ReadSecrets, no_secrets
from ibfeed_worker.publish.metrics import KafkaCollector
from ibfeed_worker.publish.partition_writer import PartitionWriter
from ibfeed_worker.publish.progress import Progress
from ibfeed_worker.publish.send_queue import SendQueue
from ibfeed_worker.publish.survey import affected
from ibfeed_worker.publish.tail import Tail
from ibfeed_worker.publish.trouble import REFUSED, Trouble

_log: Final = Log(__name__)
_POLL_S: Final = 0.025  # while anything is on its way
_IDLE_S: Final = 1.0
_SWEEP_S: Final = 0.5
CHECK_S: Final = 2.0  # with a look's duration, it stays below ibfeed_api.shard.KAFKA_LOOK_S
_SHORTEST_PAUSE_S: Final = 0.5  # a burst of errors is one reason to look, not many
_LONGEST_PAUSE_S: Final = 5.0
_LONGEST_TEXT: Final = 1000  # the CRD's limit is 1024


class Publisher:
    """The publisher of all contracts of a worker, by one producer at a time. ``start`` makes it work.

    Args:
        read_secrets: called before the first connection, and again when Kafka refuses us; raises SecretsError.
        writers: returns the partition writers in use.
        on_progress: called with a partition writer whose records were acknowledged or refused.
        on_status: called when ``status`` has changed, or whether a partition writer is ``stalled``.
        may_write: called before each tick and each record of a book; while it is False, they wait.

    The callbacks are called on the event loop.
    """

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
        self._inspection: Final = Inspection(
            worker=worker,
            feed=feed,
            kafka=kafka,
            line=self._line,
            send_queue=self.send_queue,
            late=lambda: self._late,
            on_doubt=self._doubt,
        )
        self.collector: Final = KafkaCollector(self._line.counters, self.send_queue, lambda: len(self._late))
        self._on_progress: Final = on_progress
        self._on_status: Final = on_status
        self._progress: Final = Progress[PartitionWriter | None]()
        self._late: Mapping[PartitionWriter | None, float] = {}  # None: events
        self._sweep_at = 0.0
        self._acknowledged = 0
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
            + send_queue.events.acknowledged
            - send_queue.learned
        )
        if count != self._acknowledged:
            self._acknowledged = count
            if self._line.is_open:
                self._inspection.acknowledged()

    def _sweep(self) -> None:
        """Notice the partition writers whose records wait for too long."""
        now = self._loop.time()
        self._sweep_at = now + _SWEEP_S
        counts: dict[PartitionWriter | None, tuple[int, int]] = {
            writer: (writer.answered, writer.in_flight) for writer in self._writers()
        }
        counts[None] = (self.send_queue.events.answered, self.send_queue.events.in_flight)
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
        survey = self._inspection.survey if self._line.is_open else None
        closed = affected(survey, self._line.limits) if survey is not None else None
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
            trouble = await self._inspection.run()
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
