"""The delivery of one record. There is one for each tick, so this is one of the compiled modules (ADR 25)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

from ibfeed_worker.publish.partition_writer import PartitionWriter


@final
class Delivery:
    """The delivery of one record, and the callback for Kafka's answer to it."""

    __slots__ = ("_on_answer", "before", "event_time", "refusals", "seq", "writer")

    def __init__(
        self,
        writer: PartitionWriter,
        event_time: int,
        seq: int,
        before: int | None,
        on_answer: Callable[[Delivery, Any, Any], None],
    ) -> None:
        """Create the delivery of the record ``seq``.

        Args:
            writer: the record's.
            event_time: the record's, in ms.
            seq: the record's number.
            before: event time of the contract's record before it.
            on_answer: called with this, Kafka's error or None, and the client library's message.
        """
        self.writer: Final = writer
        self.event_time: Final = event_time
        self.seq: Final = seq
        self.before: Final = before
        self.refusals = 0
        self._on_answer: Final = on_answer

    def __call__(self, error: Any, message: Any) -> None:
        self._on_answer(self, error, message)
