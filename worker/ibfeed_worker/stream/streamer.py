"""Websocket, subscriptions, ticks, order books, Kafka for one shard."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ibfeed_api.feed import Kafka
from ibfeed_api.log import Log
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import ContractState, Entry, KafkaStatus, Report
from ibfeed_worker.hours.hours import Hours
from ibfeed_worker.publish import Broker, Connect, PartitionWriter, Publisher, ReadSecrets, connect, no_secrets
from ibfeed_worker.publish import PublishCounters as Published
from ibfeed_worker.stream import metrics
from ibfeed_worker.stream.assignments import Assignments
from ibfeed_worker.stream.books import Books
from ibfeed_worker.stream.connection import Link, StreamEnd, Timing
from ibfeed_worker.stream.contract import Contract
from ibfeed_worker.stream.event_log import EventLog
from ibfeed_worker.stream.report import remark, report
from ibfeed_worker.stream.session_facts import SessionFacts
from ibfeed_worker.stream.subscriber import Subscriber
from ibfeed_worker.stream.takeover import Takeover

_log: Final = Log(__name__)
_FLUSH_S: Final = 8.0
_CLOSE_S: Final = 3.0


class Streamer:
    """Lives as long as the worker's process; sessions come and go. Everything here runs on one event loop.

    The callbacks are called from the reader: they must return at once.

    Args:
        worker: the worker's name, as in the records' headers.
        feed: the feed's name.
        kafka: where records go.
        lines: the number of contracts that the account may have subscribed.
        on_change: called when reports or Kafka's status are other ones.
        may_write: whether the account is ours at this moment.
        left_behind: conid to the epoch under which an earlier process published: that is over.
        on_session: called when IB said something of the session, or the feed is no longer ``mute``.
        hours: when a contract trades; without them silence is not judged.
        timing: seconds of the websocket.
        read_secrets: returns who we are at Kafka.
        connect: connects to Kafka.
    """

    def __init__(
        self,
        *,
        worker: str,
        feed: str,
        kafka: Kafka,
        lines: int,
        on_change: Callable[[], None],
        may_write: Callable[[], bool],
        left_behind: Mapping[int, int] | None = None,
        on_session: Callable[[SessionFacts], None] | None = None,
        hours: Callable[[Entry], Hours] | None = None,
        timing: Timing | None = None,
        read_secrets: ReadSecrets = no_secrets,
        connect: Connect = connect,
    ) -> None:
        self._on_change: Final = on_change
        self._contracts: Final[dict[int, Contract]] = {}
        self._publisher: Final = Publisher(
            worker=worker,
            feed=feed,
            kafka=kafka,
            read_secrets=read_secrets,
            writers=self._writers,
            on_progress=self._on_progress,
            on_status=self._on_kafka,
            may_write=may_write,
            connect=connect,
        )
        self._send_queue: Final = self._publisher.send_queue
        self._events: Final = EventLog(worker, feed, self._send_queue)
        self._books: Final = Books(self._contracts, self._send_queue, on_dead=lambda: self.subscriber.renew_ladder())
        self._takeover: Final = Takeover(
            self._contracts, self._publisher, books=self._books, events=self._events, on_located=self._on_located
        )
        self._assignments: Final = Assignments(
            self._contracts,
            self._publisher,
            takeover=self._takeover,
            books=self._books,
            events=self._events,
            left_behind=left_behind or {},
            on_begun=lambda conid: self.subscriber.renew(conid),
            on_released=self._changed,
        )
        self.subscriber: Final = Subscriber(
            self._contracts,
            self._send_queue,
            lines=lines,
            timing=timing or Timing(),
            books=self._books,
            takeover=self._takeover,
            events=self._events,
            hours=hours or (lambda _: Hours()),
            on_states=self._tell_states,
            on_change=self._changed,
            on_session=on_session or (lambda _: None),
        )
        self.collector: Final = metrics.StreamCollector(self._reading)
        self.kafka_collector: Final = self._publisher.collector

    # Called by the worker.

    async def start(self) -> None:
        """Begin to connect to Kafka. Does not wait for it."""
        await self._publisher.start()

    async def close(self) -> None:
        """Wait a few seconds for Kafka's acknowledgements, then end."""
        await self._takeover.close()
        await self._publisher.close(_CLOSE_S)

    def obey(self, entries: tuple[Entry, ...], lines: int | None = None) -> None:
        """Follow the shard's entries, and the number of lines that the account has."""
        if lines is not None:
            self.subscriber.lines = lines
        self._assignments.obey(entries)
        self._books.settle()
        self._assignments.give_up_stuck()
        self._assignments.release_idle()
        self._takeover.search()
        self._changed()

    async def stream(self, link: Link) -> StreamEnd:
        """One life of the websocket; returns why it ended. Cancel it to end it."""
        return await self.subscriber.run(link)

    def hold_long(self, yes: bool) -> None:
        """Whether hot standbys hold what comes for as long as moves do: while the API server is away."""
        self._takeover.holds_long = yes

    async def watch_tails(self) -> None:
        """End each contract that another worker publishes, as Kafka shows: for a worker that can't renew its Lease."""
        await self._takeover.watch()

    async def release(self, limit: float = _FLUSH_S) -> None:
        """Stop publishing, wait at most ``limit`` seconds for Kafka, report ``released``, unsubscribe.

        A contract that Kafka has not answered for stays unreleased. A released contract goes on only with a
        higher epoch.
        """
        self._assignments.retire_all()
        self._books.settle()
        self._assignments.release_idle()
        before = time.monotonic()
        await self._takeover.stop(limit)
        self._assignments.release_idle()
        await self._publisher.settle(max(0.0, limit - (time.monotonic() - before)))
        self.subscriber.unsubscribe_all()
        for contract in self._contracts.values():
            contract.disconnected("this worker gave its account back")
        self._changed()

    def cut_off(self) -> None:
        """The account is lost: another worker may publish our contracts in a moment.

        Records that Kafka has not answered for are given up, without a word to it. Each contract is released, with no
        mark, and goes on only with a higher epoch.
        """
        self._assignments.cut_off()
        self._changed()

    def reports(self) -> tuple[Report, ...]:
        """One for each contract, by conid."""
        now_s = time.time()
        return tuple(report(contract, now_s) for _, contract in sorted(self._contracts.items()))

    def remark(self) -> tuple[Reason, str] | None:
        """The worst trouble of single contracts while the session is well."""
        return remark(self._contracts.values(), time.time())

    def kafka_status(self) -> KafkaStatus:
        return self._publisher.status

    @property
    def published(self) -> Published:
        """Counters of records given to Kafka, and of their fates."""
        return self._send_queue.counters

    @property
    def broker(self) -> Broker | None:
        """Kafka, while it takes records."""
        return self._send_queue.broker

    def market_data_types(self) -> dict[int, str]:
        """By conid the latest 6509, of those of which IB has sent one."""
        return {conid: c.data_type for conid, c in self._contracts.items() if c.data_type is not None}

    @property
    def mute(self) -> bool:
        """Whether the feed was found silent as a whole, and has not spoken since; whatever IB says of the session."""
        return self.subscriber.staleness.mute

    @property
    def owes(self) -> bool:
        """Whether anything is ours to publish, or not released yet."""
        return any(
            contract.publishes or (contract.retires and not contract.released) for contract in self._contracts.values()
        )

    @property
    def standby_count(self) -> int:
        """The number of contracts with which this worker would go on at once, if their own worker were lost."""
        return sum(c.entry.hot and c.state is ContractState.WARM for c in self._contracts.values())

    @property
    def lines_used(self) -> int:
        return self.subscriber.lines_used

    @property
    def last_tick(self) -> float | None:
        """When the latest frame of one of our contracts came, in seconds since 1970."""
        latest_ns = self.subscriber.quotes.latest_ns
        return None if latest_ns is None else latest_ns / 1e9

    @property
    def market_data_live(self) -> bool | None:
        """Whether IB marks all contracts' data as real time; None while it has said nothing of any."""
        said = [live for c in self._contracts.values() if c.confirmed and (live := c.normaliser.live) is not None]
        return all(said) if said else None

    # Called by the take-over.

    def _on_located(self, contracts: Sequence[Contract]) -> None:
        for contract in contracts:
            self._assignments.release_if_idle(contract)
        self._books.settle()
        self._takeover.search()
        self._changed()

    # Called by the publisher.

    def _writers(self) -> list[PartitionWriter]:
        """All that may have records on their way."""
        return [writer for contract in self._contracts.values() for writer in contract.writers]

    def _on_progress(self, writer: PartitionWriter) -> None:
        contract = self._contracts.get(writer.conid)
        if contract is not None and writer in contract.writers:
            self._assignments.release_if_idle(contract)
            self._tell_state(contract)

    def _on_kafka(self) -> None:
        self._takeover.search()
        self._assignments.give_up_stuck()
        self._tell_states()
        self._on_change()

    # Telling.

    def _tell_state(self, contract: Contract) -> None:
        if contract.state is not contract.told:
            self._changed()

    def _tell_states(self) -> None:
        if any(contract.state is not contract.told for contract in self._contracts.values()):
            self._changed()

    def _changed(self) -> None:
        for contract in self._contracts.values():
            contract.told = contract.state
        self.subscriber.nudge()
        self._on_change()

    def _reading(self) -> metrics.StreamReading:
        return metrics.StreamReading(
            stream=self.subscriber.counters,
            publish=self._send_queue.counters,
            withheld=self.subscriber.quotes.withheld,
            outgrown=self._takeover.outgrown,
            unassigned=self.subscriber.quotes.unassigned + self._books.unassigned,
            unreadable=self.subscriber.quotes.unreadable,
            rows_unreadable=self._books.rows_unreadable,
            books_crossed=self._books.crossed,
            ladders_dead=self._books.dead,
            lines_suspected=self.subscriber.staleness.suspected,
            lines_died=self.subscriber.staleness.died,
            lines_dead=self.subscriber.staleness.dead,
            hours_unknown=self.subscriber.staleness.unknown(self._contracts.values(), time.time()),
            trading=self.subscriber.staleness.trading(self._contracts.values(), time.time()),
            states=Counter(contract.state for contract in self._contracts.values()),
            lines=self.lines_used,
            backlog=self._send_queue.backlog,
            reachable=self._publisher.status.reachable is True,
            last_tick=self.last_tick,
        )
