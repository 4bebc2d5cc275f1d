"""Whether Kafka answers in time, without a clock in each record."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.shard import KAFKA_ANSWER_S
from ibfeed_worker.publish.progress import Progress

LOOK_S = 0.5


def test_what_is_answered_in_time_is_never_late() -> None:
    progress = Progress[str]()
    for look in range(100):
        assert progress.look({"a": (look * 50, 50)}, look * LOOK_S) == {}


def test_what_waits_for_too_long_is_late() -> None:
    progress = Progress[str]()
    progress.look({"a": (10, 1)}, 0.0)
    assert progress.look({"a": (10, 3)}, KAFKA_ANSWER_S - 0.1) == {}
    assert progress.look({"a": (10, 5)}, KAFKA_ANSWER_S) == {"a": KAFKA_ANSWER_S}


def test_a_kafka_that_answers_too_slowly_is_late() -> None:
    progress = Progress[str]()
    late = [progress.look({"a": (look, 100)}, look * LOOK_S) for look in range(20)]
    assert late[-1]


def test_who_has_nothing_on_its_way_is_not_late_and_starts_again() -> None:
    progress = Progress[str]()
    progress.look({"a": (0, 1)}, 0.0)
    assert progress.look({"a": (1, 0)}, 10.0) == {}
    assert progress.look({"a": (1, 1)}, 20.0) == {}
    assert progress.look({"a": (1, 1)}, 20.0 + KAFKA_ANSWER_S) == {"a": KAFKA_ANSWER_S}


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 6)), max_size=60))
def test_nothing_late_is_missed_for_longer_than_two_looks(records: list[tuple[int, float]]) -> None:
    """Records are handed over at each look, and answered in order after some seconds each."""
    progress = Progress[str]()
    sent: list[tuple[float, float]] = []  # handed over, answered
    answered_at = 0.0
    for look, (count, seconds) in enumerate(records):
        now = look * LOOK_S
        for _ in range(count):
            answered_at = max(answered_at, now + seconds)
            sent.append((now, answered_at))
        answered = sum(end <= now for _, end in sent)
        late = progress.look({"a": (answered, len(sent) - answered)}, now)
        oldest = max((now - begun for begun, end in sent if end > now), default=0.0)
        assert not late or oldest >= KAFKA_ANSWER_S
        if oldest >= 2 * KAFKA_ANSWER_S + LOOK_S:
            assert late
