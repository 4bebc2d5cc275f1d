"""The workers' clocks against the API server's, IB's and Kafka's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ibfeed.doctor.facts import FeedFacts, KafkaFacts, known
from ibfeed.doctor.findings import FoundFault, warning

# A live worker renews within 8 s, or it fences itself. So an older renewal is a clock that is behind.
_BEHIND_S: Final = 10.0
_AHEAD_S: Final = 2.0
_EVENT_MS: Final = 2_000  # a worker cannot receive an update before IB made it
_APPEND_MS: Final = 5_000

WORKER = warning("clock-worker", "a worker's clock differs from the API server's")
IB = warning("clock-ib", "records were received before IB made them, by the worker's clock")
KAFKA = warning("clock-kafka", "the brokers' clock differs from the workers'")
FAULTS = (WORKER, IB, KAFKA)
_MEND: Final = "on its node: timedatectl set-ntp true; systemctl restart systemd-timesyncd"


def check(facts: FeedFacts) -> Iterator[FoundFault]:
    """Check the clocks of workers and brokers."""
    for watched in known(facts.accounts, ()):
        age = watched.age_s
        if not watched.renewed or age is None or not watched.lease.holder or -_AHEAD_S <= age <= _BEHIND_S:
            continue
        yield WORKER.found(
            f"worker {watched.lease.holder}",
            f"its clock is {abs(age):.0f} s {'behind' if age > 0 else 'ahead of'} the API server's",
            "its node's clock is not synchronised; latencies and gaps that it tells are wrong by as much",
            _MEND,
        )
    records = known(facts.kafka, KafkaFacts()).records
    early = max((record.event_ms - record.received_ms for record in records), default=0)
    if early > _EVENT_MS:
        yield IB.found(
            "workers",
            f"they received an update {early / 1000:.0f} s before IB made it",
            "the clock of a worker's node is behind",
            _MEND,
        )
    apart = [record.appended_ms - record.received_ms for record in records if record.appended_ms is not None]
    widest = max(apart, key=abs, default=0)
    if abs(widest) > _APPEND_MS and early <= _EVENT_MS:
        yield KAFKA.found(
            "brokers",
            f"they append records {abs(widest) / 1000:.0f} s {'after' if widest > 0 else 'before'} their receipt",
            "the clock of a broker's or a worker's node is not synchronised, or records wait for Kafka",
            _MEND,
        )
