"""Records that wait for the next producer: there was none, or they came back from the one before. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from ibfeed_worker.publish.delivery import Delivery
from ibfeed_worker.publish.partition_writer import PartitionWriter


class _Kept(NamedTuple):
    """``tried``: an earlier producer had it, so Kafka may have it."""

    delivery: Delivery
    value: bytes
    tried: bool


class KeptRecords:
    """The kept records of each partition writer, in the order in which they are to be sent.

    A writer is *doubtful* while an earlier producer may have brought records of it to Kafka. It waits until that is
    known, and the writer's ``queued`` says that later records must wait behind.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kept: dict[PartitionWriter, list[_Kept]] = {}
        self._doubtful: dict[PartitionWriter, None] = {}

    @property
    def doubtful(self) -> list[PartitionWriter]:
        return list(self._doubtful)

    def keep(self, delivery: Delivery, value: bytes, *, tried: bool) -> None:
        writer = delivery.writer
        self._kept.setdefault(writer, []).append(_Kept(delivery, value, tried))
        self.count += 1
        writer.queued = True
        if tried:
            self._doubtful[writer] = None

    def remove_all(self, writers: Collection[PartitionWriter]) -> list[Delivery]:
        """Remove the records of these writers; return their deliveries."""
        removed = []
        for writer in writers:
            writer.queued = False
            self._doubtful.pop(writer, None)
            removed += [kept.delivery for kept in self._kept.pop(writer, [])]
        self.count -= len(removed)
        return removed

    def remove(self, writer: PartitionWriter, seq: int) -> Delivery | None:
        """Remove one record; return its delivery, if it was there."""
        kept = self._kept.get(writer, [])
        for one in kept:
            if one.delivery.seq == seq:
                kept.remove(one)
                self.count -= 1
                return one.delivery
        return None

    def settle(self, writer: PartitionWriter, reached: int | None) -> list[Delivery]:
        """End the doubt about a writer; return the deliveries of its records that are not to be sent again.

        ``reached``: the ``seq`` up to which Kafka has them; None if that cannot be known. None is sent again then,
        for it could come twice.
        """
        self._doubtful.pop(writer, None)
        settled, left = [], []
        for one in sorted(self._kept.get(writer, []), key=lambda one: one.delivery.seq):
            if not one.tried or (reached is not None and one.delivery.seq > reached):
                left.append(one)
            else:
                settled.append(one.delivery)
        self._kept[writer] = left
        self.count -= len(settled)
        return settled

    def push(self, send: Callable[[Delivery, bytes], bool]) -> bool:
        """Hand over to ``send`` until it returns False; return whether everything without a doubt has gone."""
        for writer in [writer for writer in self._kept if writer not in self._doubtful]:
            kept, done = self._kept[writer], 0
            while done < len(kept) and send(kept[done].delivery, kept[done].value):
                done += 1
            self.count -= done
            if done < len(kept):
                self._kept[writer] = kept[done:]
                return False
            del self._kept[writer]
            writer.queued = False
        return True
