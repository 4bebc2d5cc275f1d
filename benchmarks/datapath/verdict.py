"""What came out against what went in. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Written:
    """A record of a contract, as a consumer found it."""

    partition: int
    seq: int
    event_time: int  # ms
    price: str  # digits


def faults_of(written: Mapping[int, Sequence[Written]], last: Mapping[int, tuple[int, str]], records: int) -> list[str]:
    """What is wrong with a window's records; empty if nothing is.

    ``written``: conid -> records in the order of their offsets. ``last``: conid -> event time (ms) and price of the
    latest update that was sent. ``records``: as many were acknowledged.
    """
    found = []
    total = sum(map(len, written.values()))
    if total != records:
        found.append(f"{records} records were acknowledged and {total} are there")
    for conid, ticks in written.items():
        if len({tick.partition for tick in ticks}) > 1:
            found.append(f"{conid} is on more than one partition")
        if any(after.seq != before.seq + 1 for before, after in pairwise(ticks)):
            found.append(f"{conid}: seq has holes or goes back")
        if any(after.event_time <= before.event_time for before, after in pairwise(ticks)):
            found.append(f"{conid}: event time does not grow")
    for conid, (time, price) in last.items():
        end = written.get(conid, ())[-1:]
        if [(tick.event_time, tick.price) for tick in end] != [(time, price)]:
            found.append(f"{conid}: the last update is not the last record")
    return found


def median(values: Sequence[float]) -> float:
    """The middle value; of an even number the mean of the middle two."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def ratio_of_medians(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times theirs ours is."""
    return median(ours) / median(theirs)
