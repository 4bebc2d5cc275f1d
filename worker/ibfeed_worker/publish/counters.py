"""Counts of records on their way to Kafka, since the process started."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

# Seconds. The objective is six, so that is a bound of a bucket.
LATENCY_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0, 60.0)


@dataclass(slots=True)
class Deliveries:
    """Counts of one topic's records, and the size that one may have."""

    handed_over: int = 0  # given to the client library, or kept for it
    acknowledged: int = 0
    failed: int = 0  # refused by Kafka for good
    conflated: int = 0  # replaced by a later one because Kafka did not keep up
    again: int = 0  # came back and were given to the client library once more
    largest: int = 1 << 31  # the topic certainly refuses a record whose value has more bytes


def _no_counts() -> list[int]:
    return [0] * (len(LATENCY_BUCKETS_S) + 1)


@dataclass(slots=True)
class LatencyCounts:
    """A sample of latencies: how many are in each bucket (the last: above all bounds), and their sum."""

    buckets: list[int] = field(default_factory=_no_counts)
    sum_s: float = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self.sum_s += seconds


@dataclass(slots=True)
class PublishCounters:
    """Counts of a worker's records."""

    ticks: Deliveries = field(default_factory=Deliveries)
    books: Deliveries = field(default_factory=Deliveries)
    latency: LatencyCounts = field(default_factory=LatencyCounts)  # from IB's time of a tick to Kafka's answer
    gaps: int = 0
    events: int = 0
    events_lost: int = 0
