"""Counts of records on their way to Kafka, since the process started."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Deliveries:
    """Counts of one topic's records, and the size that one may have."""

    handed_over: int = 0  # given to the client library, or kept for it
    acknowledged: int = 0
    failed: int = 0  # refused by Kafka for good
    conflated: int = 0  # replaced by a later one because Kafka did not keep up
    again: int = 0  # came back and were given to the client library once more
    largest: int = 1 << 31  # the topic certainly refuses a record whose value has more bytes


@dataclass(slots=True)
class PublishCounters:
    """Counts of a worker's records."""

    ticks: Deliveries = field(default_factory=Deliveries)
    books: Deliveries = field(default_factory=Deliveries)
    events: int = 0
    events_lost: int = 0
