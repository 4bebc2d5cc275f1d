"""The queue of the feed's events for Kafka."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from ibfeed_api.feed import Topic
from ibfeed_api.instrument import partition_of
from ibfeed_api.records import HEADER_EPOCH, HEADER_SCHEMA, HEADER_WORKER, SCHEMA_EVENT, FeedEvent
from ibfeed_worker.publish.broker import Delivered, Headers, UnsendableError
from ibfeed_worker.publish.counters import PublishCounters
from ibfeed_worker.publish.partition_writer import Closed, PartitionWriter
from ibfeed_worker.publish.refusals import Refusal, is_of_the_record, is_of_the_size

_AT_MOST: Final = 1000
_encode: Final = msgspec.json.Encoder().encode

Produce = Callable[[str, int, bytes, bytes, Headers, Delivered], bool]


class EventQueue:
    """The queue of events, in their order. When it is full the oldest is lost, and counted."""

    def __init__(
        self,
        *,
        worker: str,
        feed: str,
        topic: Topic,
        counters: PublishCounters,
        produce: Produce,
        on_answer: Callable[[Any, Refusal | None], None],
    ) -> None:
        """Create the queue.

        Args:
            worker: the worker's name.
            feed: the feed's name.
            topic: where events go.
            counters: counts them.
            produce: gives topic, partition, key, value, headers and callback to the client library, and returns
                whether it took them. Raises UnsendableError.
            on_answer: called when Kafka has answered for an event, with its error or None, and with the refusal if the
                event's batch was too large.
        """
        self.in_flight = 0
        self.answered = 0
        self.acknowledged = 0
        self._worker: Final = worker
        self._feed: Final = feed
        self._topic: Final = topic
        self._counters: Final = counters
        self._produce: Final = produce
        self._on_answer: Final = on_answer
        self._waiting: deque[tuple[FeedEvent, int]] = deque()
        self._returned: list[tuple[FeedEvent, int]] = []  # events that came back, in their order

    def __len__(self) -> int:
        """Return the number of events that the client library does not have."""
        return len(self._waiting) + len(self._returned)

    def add(self, event: FeedEvent, slot: int) -> None:
        """Add an event of the contract with this slot; ``push`` sends it."""
        self._counters.gaps += event.kind == "gap"
        if len(self._waiting) >= _AT_MOST:
            self._waiting.popleft()
            self._counters.events_lost += 1
        self._waiting.append((event, slot))

    def add_gap(self, writer: PartitionWriter, closed: Closed) -> None:
        """Add the event that records of a contract were lost."""
        event = FeedEvent(
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
        )
        self.add(event, writer.slot)

    def push(self) -> None:
        """Hand over events, as far as there is room: first those that came back."""
        if self._returned:
            self._waiting.extendleft(reversed(self._returned))
            self._returned = []
        while self._waiting and self._send(*self._waiting[0]):
            self._waiting.popleft()

    def refuse(self, at_ms: int) -> None:
        """Give up the event of this time that came back: it is too large for its topic."""
        left = [item for item in self._returned if item[0].at_ms != at_ms]
        self._counters.events_lost += len(self._returned) - len(left)
        self._returned = left

    def _send(self, event: FeedEvent, slot: int) -> bool:
        """Return whether the event needs no more care: it is on its way, or no producer can send it."""
        key = (self._worker if event.conid is None else str(event.conid)).encode()
        headers: Headers = [(HEADER_WORKER, self._worker.encode()), (HEADER_SCHEMA, SCHEMA_EVENT.encode())]
        if event.epoch is not None:
            headers.append((HEADER_EPOCH, str(event.epoch).encode()))
        partition = partition_of(slot, self._topic.partitions)
        told = partial(self._told, event, slot)
        try:
            if not self._produce(self._topic.name, partition, key, _encode(event), headers, told):
                return False
        except UnsendableError:
            self._counters.events_lost += 1
            return True
        self.in_flight += 1
        self._counters.events += 1
        return True

    def _told(self, event: FeedEvent, slot: int, error: Any, _message: Any) -> None:
        self.in_flight -= 1
        self.answered += 1
        refusal = None
        if error is None:
            self.acknowledged += 1
        else:
            if is_of_the_record(error):
                self._counters.events_lost += 1
            else:
                self._returned.append((event, slot))
            if is_of_the_size(error):
                partition = partition_of(slot, self._topic.partitions)
                refusal = Refusal(self._topic.name, partition, None, event.at_ms, len(_encode(event)))
        self._on_answer(error, refusal)
