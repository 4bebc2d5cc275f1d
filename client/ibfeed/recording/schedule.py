"""The order of a replay over all contracts, and its pace. No I/O.

Records go out by Kafka's times. Records of one file keep their order, also where a clock went back.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat

from ibfeed.recording.records import Batch

# One record of a replay: when it is due, in ms since 1970; the number of its file; its number within its batch; the
# batch. It is due at its time, or at that of a later record that its file has before it. By the number of the file,
# records of one time have an order. It is a plain tuple, since there are 300,000 a second.
Item = tuple[int, int, int, Batch]


@dataclass(slots=True)
class _Head:
    """The records of a file that come next."""

    batches: Iterator[Batch]
    file: int
    batch: Batch
    due: list[int]
    place: int = 0

    def take_due(self, until: int) -> Iterator[Item]:
        end = bisect_right(self.due, until, self.place)
        places = range(self.place, end)
        self.place = end
        return zip(self.due[places.start : end], repeat(self.file), places, repeat(self.batch))

    def load(self) -> bool:
        """Make sure that there is a next record; return whether there is."""
        while self.place >= len(self.due):
            batch = next(self.batches, None)
            if batch is None:
                return False
            latest = self.due[-1] if self.due else batch.times[0]
            self.batch, self.place = batch, 0
            self.due = list(accumulate(batch.times, max, initial=latest))[1:]
        return True


_NONE = Batch("", 0, None, [], [], [], [])


def merged(files: Sequence[Iterable[Batch]]) -> Iterator[list[Item]]:
    """Yield the records of all files by time, some at a time."""
    heads = [_Head(iter(batches), number, _NONE, []) for number, batches in enumerate(files)]
    while heads := [head for head in heads if head.load()]:
        # Up to here every file's records are known. One file comes to the end of its batch, so it goes on.
        until = min(head.due[-1] for head in heads)
        yield sorted([item for head in heads for item in head.take_due(until)])


def between(batches: Iterable[Batch], from_ms: int | None, until_ms: int | None) -> Iterator[Batch]:
    """Yield the records from a time on and before another one, both in ms since 1970."""
    for batch in batches:
        kept = [
            place
            for place, time in enumerate(batch.times)
            if (from_ms is None or time >= from_ms) and (until_ms is None or time < until_ms)
        ]
        if len(kept) == len(batch.times):
            yield batch
        elif kept:
            yield batch.only(kept)


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of a replay.

    Args:
        speed: how many times as fast as it was; None: as fast as possible.
        first_ms: the time of the first record, in ms since 1970.
        begun: when it went out, in monotonic seconds.
    """

    speed: float | None
    first_ms: int
    begun: float

    def due(self, items: Sequence[Item], place: int, now: float) -> int:
        """Return the end of the items from ``place`` on that are due by now."""
        if self.speed is None:
            return len(items)
        reached = self.first_ms + (now - self.begun) * self.speed * 1000
        return bisect_left(items, (int(reached) + 1,), place)

    def wait(self, item: Item, now: float) -> float:
        """Return the seconds until an item is due; below 0: so late it is."""
        if self.speed is None:
            return 0.0
        return self.begun + (item[0] - self.first_ms) / 1000 / self.speed - now
