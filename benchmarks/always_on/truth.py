"""The truth monitor: does the feed's status say what flows? Once a second it is read, and compared with Kafka."""

from __future__ import annotations

import subprocess
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from support.cluster import condition, read

FLOWS_S: Final = 5.0  # a contract flows if a record of it came within this time; the venue sends two a second
GRACE_S: Final = 35.0  # after a fault began or ended, the status may lag
_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A status at one moment, in seconds since 1970. ``publishing``: conid -> what the status says of it."""

    at: float
    publishing: Mapping[int, bool]
    ready: str
    covered: str
    kafka: str
    live: str


def sample_of(feed: dict[str, Any], at: float) -> Sample:
    said = {contract["conid"]: bool(contract.get("publishing")) for contract in feed["status"].get("contracts", ())}
    ready, covered, kafka, live = (
        str(condition(feed, name).get("status", ""))
        for name in ("Ready", "Covered", "KafkaReachable", "MarketDataLive")
    )
    return Sample(at, said, ready, covered, kafka, live)


def untrue(sample: Sample, flowing: Iterable[int], conids: Iterable[int]) -> set[int]:
    """Return the contracts of which a status says something else than what flows."""
    wanted, flows = set(conids), set(flowing)
    said = {conid for conid, publishing in sample.publishing.items() if publishing}
    found = said ^ flows
    if "True" in (sample.ready, sample.covered):
        found |= wanted - flows
    if sample.ready != "True" and flows >= wanted:
        found |= wanted
    if "True" in (sample.kafka, sample.live) and not flows:
        found |= wanted
    return found & wanted


def untrue_contract_seconds(
    samples: Sequence[Sample],
    arrivals: Mapping[int, Sequence[int]],
    conids: Sequence[int],
    changes: Sequence[float],
) -> int:
    """Count over all samples, but for those within GRACE_S of a change.

    Args:
        arrivals: conid -> when its records came, in ms since 1970, in order.
        changes: when a fault began or ended.
    """
    count = 0
    for sample in samples:
        if any(0 <= sample.at - change < GRACE_S for change in changes):
            continue
        flowing = [conid for conid in conids if _came(arrivals.get(conid, ()), sample.at)]
        count += len(untrue(sample, flowing, conids))
    return count


def _came(times: Sequence[int], at: float) -> bool:
    place = bisect_left(times, (at - FLOWS_S) * 1000)
    return place < len(times) and times[place] <= at * 1000


class Monitor:
    """Reads the feed's status once a second, in a thread. What cannot be read is no sample."""

    def __init__(self, feed: str, namespace: str) -> None:
        self.samples: list[Sample] = []
        self._feed, self._namespace = feed, namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="truth", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_S):
            asked = time.time()
            try:
                feed = read("ibfeed", self._feed, self._namespace)
            except (AssertionError, subprocess.SubprocessError):
                continue  # the API server is away: nobody can read a status
            if feed and time.time() - asked < _EVERY_S:
                self.samples.append(sample_of(feed, asked))
