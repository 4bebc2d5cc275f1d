"""The order of a contract's records: duplicates and records of former assignments are told apart.

Within a contract ``seq`` grows strictly over all workers, because it contains the epoch. A record that follows the one
before by exactly one is of the same epoch, and so of the same process: a process has an epoch of its own, and an epoch
begins far above the numbers that the one before can have used. For such a record nothing else has to be looked at.
The headers are read of each other one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ibfeed.events import Contract


class Verdict(enum.Enum):
    """The nature of a record, by the place that its contract has reached."""

    NEXT = "next"  # it follows the one before, or opens an epoch
    AFTER_HOLE = "after a hole"  # records of its epoch are missing before it
    DUPLICATE = "duplicate"  # it was read before
    STALE = "stale"  # a later assignment of its contract was seen, so an old worker sent it late


@dataclass(slots=True)  # its attributes are read faster than those of a msgspec.Struct
class Position:
    """How far one contract has come on one topic."""

    epoch: int = -1
    seq: int = -1
    of_feed: bool = True  # whether the epoch is of the feed that the caller asked for
    wanted: bool = True  # whether the caller asked for this contract's records
    contract: Contract | None = None  # its reference data, here because a tick looks nothing else up

    def advance(self, epoch: int, seq: int) -> Verdict:
        """Return what the record with these numbers is, and move on if it is a new one."""
        if epoch < self.epoch:
            return Verdict.STALE
        if epoch == self.epoch and seq <= self.seq:
            return Verdict.DUPLICATE
        hole = epoch == self.epoch and seq != self.seq + 1
        self.epoch, self.seq = epoch, seq
        return Verdict.AFTER_HOLE if hole else Verdict.NEXT


class RecentEvents:
    """The events of the feed that were read last.

    They have no ``seq``. A worker that is not sure whether Kafka has an event sends the same bytes again, soon after.
    """

    def __init__(self, room: int = 4096) -> None:
        self._room = room
        self._seen: dict[bytes, None] = {}

    def is_new(self, value: bytes) -> bool:
        """Return whether the event was not among the last ones, and remember it."""
        if value in self._seen:
            return False
        self._seen[value] = None
        if len(self._seen) > self._room:
            del self._seen[next(iter(self._seen))]
        return True
