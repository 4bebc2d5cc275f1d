"""One contract's way to one topic for one epoch: the records handed over, acknowledged and lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ibfeed_api.feed import Topic
from ibfeed_api.instrument import partition_of
from ibfeed_api.records import HEADER_EPOCH, HEADER_SCHEMA, HEADER_WORKER, DepthRecord, Tick
from ibfeed_api.shard import Mark
from ibfeed_worker.publish.broker import Headers
from ibfeed_worker.publish.counters import Deliveries

Record = Tick | DepthRecord


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that were made but could not be published."""

    after: int | None  # event time of the record before, in ms
    last_seq: int  # the latest lost record's
    records: int
    why: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A gap, and the first record after it that Kafka has."""

    gap: Gap
    until: int  # event time, ms


class PartitionWriter:
    """The bookkeeping of one contract's records on one partition, for one epoch. The send queue moves the records."""

    def __init__(
        self,
        *,
        worker: str,
        conid: int,
        symbol: str,
        slot: int,
        epoch: int,
        schema: str,
        topic: Topic,
        deliveries: Deliveries,
    ) -> None:
        """Create the writer; its partition follows from ``slot``.

        Args:
            schema: that of its records.
            topic: where they go.
            deliveries: counts them.
        """
        self.topic: Final = topic.name
        self.partition: Final = partition_of(slot, topic.partitions)
        self.deliveries: Final = deliveries
        self.schema: Final = schema
        self.conid: Final = conid
        self.symbol: Final = symbol
        self.slot: Final = slot
        self.epoch: Final = epoch
        self.key: Final = str(conid).encode()
        self.headers: Final[Headers] = [
            (HEADER_EPOCH, str(epoch).encode()),
            (HEADER_WORKER, worker.encode()),
            (HEADER_SCHEMA, schema.encode()),
        ]
        self.waiting: Record | None = None  # the latest record that Kafka's queue had no room for
        self.in_flight = 0
        self.answered = 0  # records that Kafka has answered for, in either way
        self.queued = False  # records of it are kept, so later ones must wait behind them
        self.over = False  # unanswered records are given up rather than sent again
        self.stalled = False  # its records have waited for too long, or Kafka could take none now
        self.used = False  # whether any record was made in this epoch
        self.failures = 0  # records that Kafka refused
        self.sent: int | None = None  # event time of the latest record in Kafka's queue or beyond
        self._gap: Gap | None = None
        self._acknowledged: tuple[int, int] | None = None  # event time, seq

    @property
    def acknowledged(self) -> Mark | None:
        """The record with the highest ``seq`` that Kafka has."""
        return None if self._acknowledged is None else Mark(event_time=self._acknowledged[0], seq=self._acknowledged[1])

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way: ``acknowledged`` is final."""
        return self.in_flight == 0 and self.waiting is None

    def follow(self, former: PartitionWriter) -> None:
        """Go on for the contract's former epoch: the gap that it left open ends here."""
        self._gap = former._gap
        self.sent = former.sent

    def wait(self, record: Record) -> bool:
        """Keep ``record`` until there is room; the latest one wins. Return whether an earlier one was replaced."""
        before, self.waiting = self.waiting, record
        if before is not None:
            self._lose(before.seq, "Kafka did not keep up", after=self.sent)
        return before is not None

    def delivered(self, event_time: int, seq: int) -> Closed | None:
        """Note that Kafka has acknowledged a record; return the gap that it ends, if any."""
        self.in_flight -= 1
        self.answered += 1
        self.deliveries.acknowledged += 1
        if self._acknowledged is None or seq > self._acknowledged[1]:
            self._acknowledged = (event_time, seq)
        gap = self._gap
        if gap is None or seq <= gap.last_seq:
            return None
        self._gap = None
        return Closed(gap, event_time)

    def failed(self, seq: int, why: str, *, after: int | None) -> None:
        """Note that Kafka refuses this record for good.

        ``after``: event time of the one that was handed over before it.
        """
        self.in_flight -= 1
        self.answered += 1
        self.deliveries.failed += 1
        self.failures += 1
        self._lose(seq, why, after=after)

    def _lose(self, seq: int, why: str, *, after: int | None) -> None:
        gap = self._gap
        if gap is None:
            self._gap = Gap(after, seq, 1, why)
        else:
            # A record on its way may be refused after later ones that were replaced, and refusals come in any order.
            since = None if gap.after is None or after is None else min(gap.after, after)
            self._gap = Gap(since, max(seq, gap.last_seq), gap.records + 1, gap.why)
