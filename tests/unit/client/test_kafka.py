"""Errors of Kafka that pass by themselves are waited for, and others are not."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from ibfeed import kafka


class Work:
    """A call that fails with each of these codes, and then succeeds."""

    def __init__(self, *codes: int) -> None:
        self._codes = list(codes)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self._codes:
            raise KafkaException(KafkaError(self._codes.pop(0)))
        return "done"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_AGAIN_S", 0.0)


def test_error_that_passes_is_waited_for() -> None:
    work = Work(KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
    assert kafka.retried(work) == "done"
    assert work.calls == 3


@pytest.mark.parametrize(
    ("code", "limit"), [(KafkaError.TOPIC_AUTHORIZATION_FAILED, 10.0), (KafkaError.NOT_LEADER_FOR_PARTITION, -1.0)]
)
def test_error_that_stays_is_raised_at_once(code: int, limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "CONNECT_S", limit)
    work = Work(code, code)
    with pytest.raises(KafkaException):
        kafka.retried(work)
    assert work.calls == 1
