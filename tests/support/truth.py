"""A comparison of the records that a consumer finds on Kafka with the venue's ground truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from support.stream import Record


@dataclass(frozen=True, slots=True)
class Comparison:
    """Counts of updates: ``sent`` to any session, of these ``missing`` on Kafka, and of those in no gap record."""

    sent: int
    missing: int
    untold: int


def compare(
    records: Mapping[int, Iterable[Record]],
    updates: Mapping[int, Iterable[int]],
    slots: Mapping[int, int],
    *,
    until_ms: int,
    partitions: int = 12,
    gaps: Iterable[Mapping[str, Any]] = (),
) -> Comparison:
    """Assert that Kafka holds nothing twice, out of order or on a foreign partition. Count the updates that it lacks.

    ``records`` and ``updates`` (IB's times in ms) are by conid, from each contract's first record on and up to
    ``until_ms``. ``slots`` are the feed's, by conid. ``gaps`` are the values of the gap records on ``feed-events``.
    """
    told: dict[int, list[tuple[int, int]]] = {}
    for gap in gaps:
        told.setdefault(gap["conid"], []).append((gap.get("from_ms") or 0, gap["to_ms"]))
    sent = missing = untold = 0
    for conid, slot in slots.items():
        mine = list(records.get(conid, ()))
        assert {record.partition for record in mine} <= {slot % partitions}, f"{conid} left its partition"
        sequence = [record.value["seq"] for record in mine]
        assert sequence == sorted(set(sequence)), f"{conid}: seq does not strictly grow"
        times = [record.value["event_time"] for record in mine if record.value["event_time"] <= until_ms]
        expected = [time for time in updates.get(conid, ()) if times and times[0] <= time <= until_ms]
        assert times == sorted(set(times) & set(expected)), f"{conid}: doubled, disordered or made up"
        lacking = set(expected) - set(times)
        sent, missing = sent + len(expected), missing + len(lacking)
        untold += sum(not any(a < time < b for a, b in told.get(conid, ())) for time in lacking)
    return Comparison(sent, missing, untold)
