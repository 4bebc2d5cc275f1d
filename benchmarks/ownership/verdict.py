"""What the venue sent against what is on Kafka. Pure: values in, values out.

``sent``: conid -> IB's times (ms) of the updates that a witness got, who listens to every contract, in
order.
``written``: conid -> its records in the order of their offsets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Written:
    """One record of ``ticklast``."""

    conid: int
    partition: int
    offset: int
    at_ms: int  # when Kafka appended it, by the broker's clock
    epoch: int
    worker: str
    event_time: int
    seq: int


@dataclass(frozen=True, slots=True)
class Gap:
    """One ``gap`` of ``feed-events``: updates of the contract are missing between the two event times."""

    conid: int
    from_ms: int | None
    to_ms: int | None


@dataclass(frozen=True, slots=True)
class Update:
    conid: int
    event_time: int


@dataclass(frozen=True, slots=True)
class Window:
    """Event times from ``begin_ms`` to ``end_ms``, both inclusive, are judged."""

    begin_ms: int
    end_ms: int

    def holds(self, time_ms: int) -> bool:
        return self.begin_ms <= time_ms <= self.end_ms


Sent = Mapping[int, Sequence[int]]
Records = Mapping[int, Sequence[Written]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """``expected`` updates were sent. ``unknown``: records of an update that the venue never sent."""

    expected: int
    lost: tuple[Update, ...]
    duplicated: tuple[Written, ...]
    disordered: tuple[Written, ...]
    unknown: tuple[Written, ...]


def delivery(sent: Sent, written: Records, window: Window) -> Delivery:
    """Compare each contract's updates with its records, within the window."""
    expected = 0
    lost: list[Update] = []
    duplicated: list[Written] = []
    disordered: list[Written] = []
    unknown: list[Written] = []
    for conid in sent.keys() | written.keys():
        due = {time for time in sent.get(conid, ()) if window.holds(time)}
        records = [record for record in written.get(conid, ()) if window.holds(record.event_time)]
        seen: set[int] = set()
        for record in records:
            if record.event_time in seen:
                duplicated.append(record)
            elif record.event_time not in due:
                unknown.append(record)
            seen.add(record.event_time)
        expected += len(due)
        lost += (Update(conid, time) for time in sorted(due - seen))
        disordered += _behind(records)
    return Delivery(expected, tuple(lost), tuple(duplicated), tuple(disordered), tuple(unknown))


def _behind(records: Sequence[Written]) -> Iterator[Written]:
    """Records that come later than they should: an older time, a ``seq`` that does not grow, another partition."""
    time = seq = -1
    for record in records:
        if record.event_time < time or record.seq <= seq or record.partition != records[0].partition:
            yield record
        time, seq = max(time, record.event_time), max(seq, record.seq)


def not_growing(written: Records) -> tuple[Written, ...]:
    """Records whose event time is not above that of all records of the contract before."""
    found: list[Written] = []
    for records in written.values():
        time = -1
        for record in records:
            if record.event_time <= time:
                found.append(record)
            time = max(time, record.event_time)
    return tuple(found)


def moves(written: Records) -> int:
    """How often a contract went on at another worker."""
    return sum(before.worker != after.worker for records in written.values() for before, after in pairwise(records))


def zombies(written: Records) -> tuple[Written, ...]:
    """Records of an epoch that was over: a higher one stands before them in the partition."""
    found: list[Written] = []
    for records in written.values():
        epoch = 0
        for record in records:
            if record.epoch < epoch:
                found.append(record)
            epoch = max(epoch, record.epoch)
    return tuple(found)


def unreported(lost: Collection[Update], written: Records, gaps: Collection[Gap]) -> tuple[Update, ...]:
    """Lost updates that lie in no gap.

    A gap with one bound reaches to the contract's next record on the other side and not further; one without any says
    nothing.
    """
    holes: dict[int, list[tuple[float, float]]] = {}
    for gap in gaps:
        times = sorted(record.event_time for record in written.get(gap.conid, ()))
        hole: tuple[float, float]
        if gap.from_ms is not None:
            after = next((time for time in times if time > gap.from_ms), float("inf"))
            hole = (gap.from_ms, after if gap.to_ms is None else gap.to_ms)
        elif gap.to_ms is not None:
            before = next((time for time in reversed(times) if time < gap.to_ms), float("-inf"))
            hole = (before, gap.to_ms)
        else:
            continue
        holes.setdefault(gap.conid, []).append(hole)
    return tuple(
        update
        for update in lost
        if not any(begin < update.event_time < end for begin, end in holes.get(update.conid, ()))
    )


def inexact(gaps: Collection[Gap], written: Records) -> tuple[Gap, ...]:
    """Gaps whose bounds are not two records that follow each other: too wide, too narrow, or not known."""
    pairs = {
        conid: {(before.event_time, after.event_time) for before, after in pairwise(records)}
        for conid, records in written.items()
    }
    return tuple(gap for gap in gaps if (gap.from_ms, gap.to_ms) not in pairs.get(gap.conid, ()))


def longest_silence_s(arrivals: Mapping[int, Sequence[int]], window: Window) -> tuple[float, int]:
    """Longest time (s) within the window without an arrival (ms) of a contract, its edges included, and the contract.

    A contract without any arrival was silent all the window long.
    """
    worst = (0.0, 0)
    for conid, times in arrivals.items():
        edges = [window.begin_ms, *(time for time in times if window.holds(time)), window.end_ms]
        longest = max(after - before for before, after in pairwise(edges)) / 1000
        worst = max(worst, (longest, conid))
    return worst


def silences(arrivals: Mapping[int, Sequence[int]], step_s: float) -> dict[str, int]:
    """How many pauses between two arrivals (ms) of a contract are of which length: lower bound (s) -> count."""
    counts = Counter(
        int((after - before) / 1000 / step_s) for times in arrivals.values() for before, after in pairwise(times)
    )
    return {f"{place * step_s:.1f}": count for place, count in sorted(counts.items())}


def next_ticks_s(written: Records, epochs: Mapping[int, int], moment_ms: float) -> dict[int, float]:
    """Conid -> seconds from ``moment_ms`` to the first record above the contract's epoch of then, if there is one.

    What the lost worker had handed to Kafka before carries the old epoch, and is no recovery.
    """
    found: dict[int, float] = {}
    for conid, epoch in epochs.items():
        arrived = (r.at_ms for r in written.get(conid, ()) if r.epoch > epoch and r.at_ms > moment_ms)
        if (first := next(arrived, None)) is not None:
            found[conid] = (first - moment_ms) / 1000
    return found


def quantile(values: Collection[float], part: float) -> float:
    """The smallest value that at least ``part`` of all do not exceed (nearest rank: nothing is interpolated)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    rank = -(-part * len(ordered) // 1)  # rounded up
    return ordered[max(0, int(rank) - 1)]
