"""A check that Kafka answers in time. Pure.

No record carries the time at which it was handed over, since each tick would pay for it. Instead every look notes how
many records there are by then. Until all of these are answered for, one of them has waited since that look.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ibfeed_api.shard import KAFKA_ANSWER_S

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class Progress(Generic[Key]):
    """The progress of Kafka's answers, by key. ``now`` is monotonic, in seconds."""

    _marks: dict[Key, tuple[float, int]] = field(default_factory=dict)  # when, and how many were handed over by then

    def look(self, counts: Mapping[Key, tuple[int, int]], now: float) -> dict[Key, float]:
        """Note the counts, and find the keys whose oldest record has waited for longer than ``KAFKA_ANSWER_S``.

        Args:
            counts: by key, how many records were answered for, and how many are on their way.

        Returns for how long each of these keys has waited, as far as is known.
        """
        marks, late = {}, {}
        for key, (answered, on_the_way) in counts.items():
            if not on_the_way:
                continue
            since, upto = self._marks.get(key, (now, answered + on_the_way))
            if answered >= upto:
                since, upto = now, answered + on_the_way
            marks[key] = (since, upto)
            if now - since >= KAFKA_ANSWER_S:
                late[key] = now - since
        self._marks = marks
        return late
