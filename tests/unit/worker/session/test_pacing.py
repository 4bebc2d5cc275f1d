from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ibfeed_api.backoff import Backoff
from ibfeed_worker.session.pacing import Budget, PenalisedError


def most_in(window: float, moments: list[float]) -> int:
    return max(sum(begin <= moment < begin + window for moment in moments) for begin in moments)


@given(some.lists(some.floats(0, 0.5), min_size=1, max_size=80))
def test_never_more_than_10_in_a_second_however_calls_come(gaps: list[float]) -> None:
    budget, now, sent = Budget(), 100.0, []
    for gap in gaps:
        now += gap
        sent.append(now + budget.reserve("/iserver/accounts", now))
    assert most_in(1.0, sent) <= 10
    assert sent == sorted(sent), "in the order in which they came"


@given(some.lists(some.floats(0, 0.5), min_size=1, max_size=40))
def test_the_gateways_own_calls_are_counted(gaps: list[float]) -> None:
    budget, now = Budget(), 100.0
    budget.gateway_called(5, now)
    sent = [now] * 5
    for gap in gaps:
        now += gap
        sent.append(now + budget.reserve("/iserver/accounts", now))
    assert most_in(1.0, sent) <= 10


@given(some.lists(some.floats(0, 2), min_size=1, max_size=30))
def test_tickle_at_most_once_a_second(gaps: list[float]) -> None:
    budget, now, sent = Budget(), 0.0, []
    for gap in gaps:
        now += gap
        sent.append(now + budget.reserve("/tickle", now))
    assert most_in(1.0, sent) <= 1


def test_an_idle_worker_does_not_wait() -> None:
    budget = Budget()
    assert budget.reserve("/tickle", 0.0) == 0
    assert budget.reserve("/iserver/accounts", 0.0) == 0
    assert budget.reserve("/tickle", 60.0) == 0


def test_after_a_429_nothing_goes_out_for_15_minutes() -> None:
    budget = Budget()
    budget.penalise(1000.0)
    for later in (0.0, 600.0, 899.0):
        with pytest.raises(PenalisedError):
            budget.reserve("/tickle", 1000.0 + later)
    assert 900 <= budget.penalty_left(1000.0) <= 960
    assert budget.reserve("/tickle", 1000.0 + 961) == 0


def test_back_off_grows_to_its_cap_and_starts_anew() -> None:
    pause = Backoff(1.0, 30.0, spread=0.0)
    assert [pause.next() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    pause.reset()
    assert pause.next() == 1
    pause.tries = 10_000
    assert pause.next() == 30
