"""The progress of a batch, as Spark tells it, in the words of this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Offsets = Mapping[str, Mapping[str, int]]  # topic -> partition -> the next record's offset


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One batch of the stream.

    Args:
        number: Spark's.
        records: that were read.
        missing: that Kafka had no longer when they were to be read.
        lag: records that wait in Kafka after it.
        seconds: it took.
    """

    number: int
    records: int
    missing: int
    lag: int
    seconds: float


def batch_of(progress: Mapping[str, Any], compacted: str | None) -> MicroBatch:
    """Return the batch that a progress event of Spark tells of.

    Args:
        progress: the event as JSON has it.
        compacted: a topic whose offsets have holes by nature.
    """
    source = progress["sources"][0]
    ends, latest = _offsets(source["endOffset"]), _offsets(source["latestOffset"])
    starts = _offsets(source["startOffset"])  # none of the first batch, which does not say where it began
    records = int(progress["numInputRows"])
    spanned = _distance({topic: at for topic, at in starts.items() if topic != compacted}, ends)
    return MicroBatch(
        number=int(progress["batchId"]),
        records=records,
        missing=max(0, spanned - records),
        lag=_distance(ends, latest),
        seconds=int(progress["durationMs"].get("triggerExecution", 0)) / 1000,
    )


def _offsets(told: Any) -> Offsets:
    """Return offsets, which Spark writes as an object or as its text."""
    found: Offsets = json.loads(told) if isinstance(told, str) else told
    return found or {}


def _distance(starts: Offsets, ends: Offsets) -> int:
    return sum(
        max(0, ends.get(topic, {}).get(partition, offset) - offset)
        for topic, partitions in starts.items()
        for partition, offset in partitions.items()
    )
