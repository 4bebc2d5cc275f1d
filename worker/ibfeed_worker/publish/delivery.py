"""The delivery of one record. There is one for each tick, so this is one of the compiled modules (ADR 25)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final, final

from ibfeed_worker.publish.partition_writer import PartitionWriter


class AnswerReceiver(ABC):
    """The receiver of Kafka's answers. A compiled class calls it faster than any callable."""

    @abstractmethod
    def answered(self, delivery: Delivery, error: Any, message: Any) -> None:
        """Take Kafka's answer to one record: its error or None, and the client library's message."""


@final
class Delivery:
    """The delivery of one record, and the callback for Kafka's answer to it."""

    __slots__ = ("before", "event_time", "receiver", "refusals", "seq", "writer")

    def __init__(
        self,
        writer: PartitionWriter,
        event_time: int,
        seq: int,
        before: int | None,
        receiver: AnswerReceiver,
    ) -> None:
        """Create the delivery of the record ``seq``.

        Args:
            writer: the record's.
            event_time: the record's, in ms.
            seq: the record's number.
            before: event time of the contract's record before it.
            receiver: gets Kafka's answer.
        """
        self.writer: Final = writer
        self.event_time: Final = event_time
        self.seq: Final = seq
        self.before: Final = before
        self.refusals = 0
        self.receiver: Final = receiver

    def __call__(self, error: Any, message: Any) -> None:
        self.receiver.answered(self, error, message)
