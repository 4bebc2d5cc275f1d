"""Decides whether a worker that cannot publish is cut off alone, or Kafka is down for all. Pure.

It goes by ``IbShard.status.kafka`` and by the operator's own clock. A worker reports that it cannot publish once a
record has waited for ``KAFKA_ANSWER_S``. A worker that has nothing to publish at that time finds out within
``KAFKA_LOOK_S``. So a worker counts as cut off alone only when the others would have found out, too, and reported it.

When Kafka comes back for all, each worker notices at its next try, which may be ``KAFKA_PAUSE_S`` away. The first
success proves nothing about the others, and a move would lose the records that wait in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ibfeed_api.shard import KAFKA_ANSWER_S, KAFKA_LOOK_S, KAFKA_PAUSE_S
from ibfeed_operator.model.types import KafkaAccess

_REPORT_DELAY_S: Final = 1.5  # until a status is written and seen
GRACE_S: Final = KAFKA_LOOK_S - KAFKA_ANSWER_S + _REPORT_DELAY_S
RETURN_S: Final = KAFKA_PAUSE_S + KAFKA_LOOK_S + _REPORT_DELAY_S


class Publishing:
    """The access of one feed's workers to Kafka. ``now`` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._failing: dict[int, float] = {}  # worker -> since when
        self._able_since: float | None = None  # since when some worker could publish, without a break

    def observe(self, reports: Mapping[int, bool], now: float) -> None:
        """Take in, by worker that has a session, whether Kafka acknowledges what it publishes.

        A worker that is not named is forgotten.
        """
        able = {worker for worker, can in reports.items() if can}
        self._failing = {worker: self._failing.get(worker, now) for worker in reports.keys() - able}
        if not able:
            self._able_since = None
        elif self._able_since is None:
            self._able_since = now

    def access(self, worker: int, now: float) -> KafkaAccess:
        """Return the access of a worker that ``observe`` was last told of."""
        if worker not in self._failing:
            return KafkaAccess.PROVEN
        alone_at = self._alone_at(worker)
        return KafkaAccess.CUT_OFF if alone_at is not None and now >= alone_at else KafkaAccess.UNPROVEN

    @property
    def any_fails(self) -> bool:
        return bool(self._failing)

    def next_change_s(self, now: float) -> list[float]:
        """Return the seconds until an answer of ``access`` may change although nothing happens."""
        return [at - now for worker in self._failing if (at := self._alone_at(worker)) is not None]

    def _alone_at(self, worker: int) -> float | None:
        """When the worker will count as cut off alone if nothing changes; None while no other can publish."""
        since = self._failing[worker]
        if self._able_since is None:
            return None
        return since + GRACE_S if since >= self._able_since else self._able_since + RETURN_S
