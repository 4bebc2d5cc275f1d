"""A lag that comes and goes, one that stands, one that grows without end."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from ibfeed_operator.sinks.lag import TOLERATED, WINDOW_S, LagWatch

STEP_S = 5.0


def watched(lags: Iterable[int | None]) -> LagWatch:
    watch = LagWatch()
    for place, lag in enumerate(lags):
        watch = watch.observe(place * STEP_S, lag)
    return watch


def test_a_lag_that_rises_for_two_minutes_grows() -> None:
    assert watched(range(0, 48_000, 2000)).grows


def test_a_lag_that_rises_for_less_than_a_minute_is_not_judged() -> None:
    assert not watched(range(0, 20_000, 2000)).grows


def test_a_high_lag_that_falls_does_not_grow() -> None:
    assert not watched(range(48_000, 0, -2000)).grows


def test_a_lag_that_comes_and_goes_does_not_grow() -> None:
    assert not watched([0, 5000] * 20).grows


@given(st.lists(st.integers(0, TOLERATED), max_size=40))
def test_a_lag_of_a_batch_never_grows(lags: list[int]) -> None:
    assert not watched(lags).grows


def test_a_lag_that_is_not_known_starts_the_watch_again() -> None:
    assert not watched([*range(0, 48_000, 2000), None]).grows
    assert not watched([*range(0, 48_000, 2000), None]).stands(30)


def test_old_samples_are_forgotten() -> None:
    assert len(watched([0] * 1000).samples) <= 2 * WINDOW_S / STEP_S + 1


def test_records_that_wait_without_a_fall_stand() -> None:
    assert watched([7] * 8).stands(30)
    assert watched([1, 2, 3, 4, 5, 6, 7, 8]).stands(30)


def test_one_fall_shows_that_it_moves() -> None:
    assert not watched([7, 7, 7, 7, 6, 7, 7, 7]).stands(30)
    assert not watched([0] * 8).stands(30)


def test_a_short_look_tells_nothing_of_a_stand() -> None:
    assert not watched([7] * 3).stands(30)
    assert not LagWatch().stands(30)
