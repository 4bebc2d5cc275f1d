"""The meaning of Kafka's refusals, and the treatment of batches that are too large."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError

from ibfeed_worker.publish.partition_writer import PartitionWriter

# Kafka refuses this record from any producer. Other errors are about rights, topics, brokers.
_OF_THE_RECORD: Final = frozenset(
    {
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
    }
)
_OF_THE_SIZE: Final = KafkaError.MSG_SIZE_TOO_LARGE


class Refusal(NamedTuple):
    """A record whose batch was too large. ``writer`` is None for an event."""

    topic: str
    partition: int
    writer: PartitionWriter | None
    seq: int
    size: int  # bytes of its value


def is_of_the_record(error: Any) -> bool:
    """Whether the refusal is for the record's own sake."""
    return error.code() in _OF_THE_RECORD


def is_of_the_size(error: Any) -> bool:
    """Whether the record, or the batch that it was in, is too large for the topic."""
    return bool(error.code() == _OF_THE_SIZE)


def after_refusals(refusals: Iterable[Refusal], batch_size: int) -> tuple[list[Refusal], int]:
    """Return the records that are too large by themselves, and the batch size in bytes to go on with.

    Kafka refuses a batch as a whole and does not say what it would take. A record that was refused alone is too large.
    Of several it is not known which is, so the next batches are half as large.
    """
    batches: dict[tuple[str, int], list[Refusal]] = {}
    for refusal in refusals:
        batches.setdefault((refusal.topic, refusal.partition), []).append(refusal)
    alone = []
    for batch in batches.values():
        if len(batch) == 1:
            alone += batch
        else:
            batch_size = max(1, min(batch_size, sum(refusal.size for refusal in batch) // 2))
    return alone, batch_size
