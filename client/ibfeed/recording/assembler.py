"""The records that make a block, and how far each partition of Kafka is recorded. No I/O.

A contract has two ticks a second, and a block of a thousand takes half the room of ten blocks of a hundred. So records
wait here for some minutes. They are not lost in a crash, since they are still in Kafka: a restart goes on from the
first one that waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ibfeed.recording.layout import DAY_MS
from ibfeed.recording.records import Batch, Headers, Place
from ibfeed.records import Message

LARGEST: Final = 1000  # records of a block
LONGEST_S: Final = 300.0  # until a block is written although it is not full


class _Waiting:
    """The records of one topic, partition, key and day that wait for their block."""

    __slots__ = ("batch", "raw", "since", "wanted")

    def __init__(self, batch: Batch, since: float, raw: Any, wanted: Headers) -> None:
        self.batch: Final = batch
        self.since: Final = since
        self.raw = raw  # the latest record's headers, as Kafka's client gave them
        self.wanted = wanted  # the same


class _Partition:
    """One partition of Kafka: the offset that its next record has at least, and the records that wait."""

    __slots__ = ("next", "waiting")

    def __init__(self, start: int) -> None:
        self.next = start
        self.waiting: Final[dict[tuple[Any, int], _Waiting]] = {}


class Assembler:
    """The records that wait for their block.

    Args:
        feed: the feed whose records are kept; None: all.
        starts: by partition, the offset that its next record has at least.
    """

    def __init__(self, feed: str | None, starts: Mapping[Place, int]) -> None:
        self.left_out = 0  # records of other feeds
        self._feed: Final = feed
        self._partitions: Final = {place: _Partition(start) for place, start in starts.items()}

    def add(self, messages: Iterable[Message], now: float) -> Iterator[Batch]:
        """Take in records; yield the blocks that are full.

        Args:
            messages: records, none of them an error.
            now: monotonic seconds.
        """
        partitions: Mapping[Any, _Partition] = self._partitions
        for message in messages:
            # This loop is the recorder's speed, after the coding of blocks. It keeps no messages: each holds a dozen
            # objects, through which Python's collector would look again and again.
            place: Any = (message.topic(), message.partition())
            partition, offset = partitions[place], message.offset() or 0
            partition.next = offset + 1
            time = message.timestamp()[1]
            group = (message.key(), time // DAY_MS)
            found, raw = partition.waiting.get(group), message.headers()
            if found is None or raw != found.raw:
                wanted = self._wanted(raw)
                if wanted is None:
                    continue
                if found is None:
                    batch = Batch(place[0], place[1], group[0], [], [], [], [])
                    found = partition.waiting[group] = _Waiting(batch, now, raw, wanted)
                found.raw, found.wanted = raw, wanted
            batch = found.batch
            batch.offsets.append(offset)
            batch.times.append(time)
            batch.headers.append(found.wanted)
            batch.values.append(message.value())
            if len(batch.offsets) >= LARGEST:
                del partition.waiting[group]
                yield batch

    def overdue(self, now: float) -> list[Batch]:
        """Return, and take out, the blocks whose records wait for too long."""
        return self._take_out(now - LONGEST_S)

    def rest(self) -> list[Batch]:
        """Return, and take out, all that waits."""
        return self._take_out(float("inf"))

    def positions(self) -> dict[Place, int]:
        """Return by partition the first offset that was not given out: a restart goes on from there."""
        return {
            place: min((waiting.batch.offsets[0] for waiting in partition.waiting.values()), default=partition.next)
            for place, partition in self._partitions.items()
        }

    def _take_out(self, since: float) -> list[Batch]:
        taken = []
        for partition in self._partitions.values():
            for group in [group for group, waiting in partition.waiting.items() if waiting.since <= since]:
                taken.append(partition.waiting.pop(group).batch)
        return taken

    def _wanted(self, raw: Any) -> Headers | None:
        """Return a record's headers; None if it is of another feed."""
        headers: Headers = tuple(raw or ())
        worker = next((value for name, value in headers if name == "worker"), None)
        of_feed = (worker or b"").rpartition(b"-")[0].decode("utf-8", errors="replace")
        if self._feed in (None, of_feed):
            return headers
        self.left_out += 1
        return None
