"""Whose trouble it is that a worker cannot publish: its own, if others can meanwhile; else Kafka's. Pure.

Goes by ``IbShard.status.kafka``, and by the operator's own clock. A worker says that it cannot once a record has
waited for ``KAFKA_ANSWER_S``. Another one, that has nothing to publish just then, finds out within ``KAFKA_LOOK_S``. So
a worker is believed to be alone with its trouble only when the others would have found out, too, and said so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ibfeed_api.names import KAFKA_ANSWER_S, KAFKA_LOOK_S
from ibfeed_operator.facts import KafkaAccess

_TO_SAY_S: Final = 1.5  # until a status is written, and seen
GRACE_S: Final = KAFKA_LOOK_S - KAFKA_ANSWER_S + _TO_SAY_S


class Publishing:
    """Of the workers of one feed. ``now`` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._failing: dict[int, float] = {}  # since when
        self._able: frozenset[int] = frozenset()

    def see(self, said: Mapping[int, bool], now: float) -> None:
        """By worker that has a session whether Kafka acknowledges what it publishes; who is not named is forgotten."""
        self._able = frozenset(worker for worker, able in said.items() if able)
        self._failing = {worker: self._failing.get(worker, now) for worker in said.keys() - self._able}

    def access(self, worker: int, now: float) -> KafkaAccess:
        """Of a worker that was named."""
        since = self._failing.get(worker)
        if since is None:
            return KafkaAccess.PROVEN
        return KafkaAccess.CUT_OFF if self._able and now - since >= GRACE_S else KafkaAccess.UNPROVEN

    @property
    def any_fails(self) -> bool:
        return bool(self._failing)

    def next_change_s(self, now: float) -> list[float]:
        """Seconds until an answer may change although nothing happens."""
        return [GRACE_S - (now - since) for since in self._failing.values()]
