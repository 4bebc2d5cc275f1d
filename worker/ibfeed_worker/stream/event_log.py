"""The log of what happens to the feed, as records of topic ``feed_events``."""

from __future__ import annotations

import time
from typing import Final, Literal

from ibfeed_api.records import FeedEvent
from ibfeed_worker.publish.send_queue import SendQueue
from ibfeed_worker.stream.contract import Contract


class EventLog:
    """The writer of a worker's events."""

    def __init__(self, worker: str, feed: str, send_queue: SendQueue) -> None:
        self._worker: Final = worker
        self._feed: Final = feed
        self._send_queue: Final = send_queue

    def write(
        self,
        kind: Literal["assigned", "released", "gap", "session", "market_data_type"],
        contract: Contract | None,
        detail: str,
        *,
        from_ms: int | None = None,
        to_ms: int | None = None,
    ) -> None:
        """Write an event.

        Args:
            kind: the event's kind.
            contract: the contract that it is about; None if it is about the session.
            detail: a sentence for a person.
            from_ms: event time of the last record before a gap.
            to_ms: event time of the first record after it.
        """
        entry = contract.entry if contract else None
        event = FeedEvent(
            kind=kind,
            feed=self._feed,
            worker=self._worker,
            at_ms=time.time_ns() // 1_000_000,
            conid=entry.conid if entry else None,
            symbol=entry.symbol if entry else None,
            epoch=entry.epoch if entry else None,
            from_ms=from_ms,
            to_ms=to_ms,
            detail=detail,
        )
        self._send_queue.event(event, entry.slot if entry else 0)
