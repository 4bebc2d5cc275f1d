"""Whose trouble it is that a worker cannot publish: its own, if others can meanwhile; else Kafka's. Pure.

Goes by ``IbShard.status.kafka``, and by the operator's own clock. A worker says that it cannot once a record has
waited for ``KAFKA_ANSWER_S``. Another one, that has nothing to publish just then, finds out within ``KAFKA_LOOK_S``. So
a worker is believed to be alone with its trouble only when the others would have found out, too, and said so.

When Kafka comes back for all, each worker notices at its next try, which may be ``KAFKA_PAUSE_S`` away. The first one
proves nothing of the others, and a move would lose what waits in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ibfeed_api.shard import KAFKA_ANSWER_S, KAFKA_LOOK_S, KAFKA_PAUSE_S
from ibfeed_operator.model.types import KafkaAccess

_TO_SAY_S: Final = 1.5  # until a status is written, and seen
GRACE_S: Final = KAFKA_LOOK_S - KAFKA_ANSWER_S + _TO_SAY_S
RETURN_S: Final = KAFKA_PAUSE_S + KAFKA_LOOK_S + _TO_SAY_S


class Publishing:
    """Of the workers of one feed. ``now`` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._failing: dict[int, float] = {}  # since when
        self._able_since: float | None = None  # any worker, without a break

    def see(self, said: Mapping[int, bool], now: float) -> None:
        """By worker that has a session whether Kafka acknowledges what it publishes; who is not named is forgotten."""
        able = {worker for worker, can in said.items() if can}
        self._failing = {worker: self._failing.get(worker, now) for worker in said.keys() - able}
        if not able:
            self._able_since = None
        elif self._able_since is None:
            self._able_since = now

    def access(self, worker: int, now: float) -> KafkaAccess:
        """Of a worker that was named."""
        if worker not in self._failing:
            return KafkaAccess.PROVEN
        alone_at = self._alone_at(worker)
        return KafkaAccess.CUT_OFF if alone_at is not None and now >= alone_at else KafkaAccess.UNPROVEN

    @property
    def any_fails(self) -> bool:
        return bool(self._failing)

    def next_change_s(self, now: float) -> list[float]:
        """Seconds until an answer may change although nothing happens."""
        return [at - now for worker in self._failing if (at := self._alone_at(worker)) is not None]

    def _alone_at(self, worker: int) -> float | None:
        """When the worker counts as alone with its trouble, if nothing changes; None while no other can publish."""
        since = self._failing[worker]
        if self._able_since is None:
            return None
        return since + GRACE_S if since >= self._able_since else self._able_since + RETURN_S
