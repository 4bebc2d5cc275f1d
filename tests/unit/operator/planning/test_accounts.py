from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.logins import History, PageTrouble, parse_history
from ibfeed_operator.model.types import AccountLease
from ibfeed_operator.planning.accounts import Choice, choose, taken_back, wrongly_parked

RANGE = range(1, 5)


def lease(index: int, **more: Any) -> AccountLease:
    return AccountLease(name=f"ib-account-s-{index}", source="s", index=index, **more)


def test_lowest_free_first() -> None:
    assert choose({"a-0": None, "a-1": None}, RANGE, []) == {"a-0": Choice(index=1), "a-1": Choice(index=2)}


def test_sticky() -> None:
    assert choose({"a-0": 3, "a-1": None}, RANGE, [])["a-0"] == Choice(index=3)


def test_earlier_worker_does_not_take_what_a_later_one_keeps() -> None:
    assert choose({"a-0": None, "a-1": 1}, RANGE, []) == {"a-0": Choice(index=2), "a-1": Choice(index=1)}


def test_none_left() -> None:
    assert choose({"a-0": None}, RANGE, [], elsewhere=RANGE) == {"a-0": Choice(index=None)}


def test_parked_one_is_replaced() -> None:
    assert choose({"a-0": 1}, RANGE, [lease(1, parked="x")])["a-0"] == Choice(index=2, parked=1)


def test_parked_one_stays_if_there_is_no_other() -> None:
    assert choose({"a-0": 1}, range(1, 2), [lease(1, parked="x")])["a-0"] == Choice(index=1)


def test_held_by_somebody_else_is_not_free() -> None:
    assert choose({"a-0": None}, RANGE, [lease(1, holder="b-0_uid")])["a-0"].index == 2


def test_held_by_a_dead_process_is_free_after_its_expiry() -> None:
    assert choose({"a-0": None}, RANGE, [lease(1, holder="b-0_uid", renew_seen_age_s=10.0)])["a-0"].index == 1


def test_held_by_the_pods_own_predecessor_stays() -> None:
    assert choose({"a-0": 1}, RANGE, [lease(1, holder="a-0_old")])["a-0"].index == 1


def test_taken_away_by_somebody_else_it_moves_on() -> None:
    assert choose({"a-0": 1}, RANGE, [lease(1, holder="b-0_uid")])["a-0"].index == 2


def test_out_of_range_is_given_back() -> None:
    assert choose({"a-0": 9}, RANGE, [])["a-0"].index == 1


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 8)), max_size=8),
    st.sets(st.integers(0, 8)),
    st.sets(st.integers(0, 8)),
)
def test_never_one_account_twice(present: list[int | None], parked: set[int], elsewhere: set[int]) -> None:
    workers = {f"a-{number}": index for number, index in enumerate(present)}
    leases = [lease(index, parked="x") for index in parked]
    choices = choose(workers, RANGE, leases, elsewhere)
    given_out = [choice.index for choice in choices.values() if choice.index is not None]
    assert len(given_out) == len(set(given_out))
    assert not set(given_out) & elsewhere
    assert set(given_out) <= set(RANGE)
    again = choose({name: choice.index for name, choice in choices.items()}, RANGE, leases, elsewhere)
    assert {name: choice.index for name, choice in again.items()} == {n: c.index for n, c in choices.items()}


NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)


def parked(index: int, *, minutes: float = 0, reason: str = "SecondFactorAsked") -> AccountLease:
    since = NOW + timedelta(minutes=minutes)
    return lease(index, parked=reason, failed=1, history=History(parked_since=since, tries=(NOW,)))


def of_page(**more: Any) -> AccountLease:
    values: dict[str, Any] = {"reason": "SecondFactorAsked", "text": "", "since": NOW, "accounts": {1: NOW, 2: NOW}}
    return AccountLease(name="ib-account-s-logins", source="s", index=-1, troubles=(PageTrouble(**values | more),))


@pytest.mark.parametrize(
    ("account", "more", "back"),
    [
        (parked(1), {}, True),
        (parked(1, minutes=-0.5), {}, True),  # the clocks of two workers
        (parked(1, minutes=-5), {}, False),  # parked before
        (parked(3), {}, False),  # it has not met it
        (parked(1, reason="AccountLocked"), {}, False),
        (parked(1), {"accounts": {1: NOW}}, False),  # alone
        (parked(1), {"ended": NOW + timedelta(minutes=5)}, True),
        (parked(1, minutes=6), {"ended": NOW + timedelta(minutes=5)}, False),  # after others had logged in again
        (lease(1, failed=2), {}, False),
        (lease(1, parked="SecondFactorAsked"), {}, False),  # by an earlier version: it is not known when
    ],
)
def test_what_the_page_has_parked_is_taken_back(account: AccountLease, more: dict[str, Any], back: bool) -> None:
    assert wrongly_parked([account, of_page(**more)]) == ([account] if back else [])


def test_taking_back_forgets_no_try() -> None:
    annotations = taken_back(parked(1))
    assert annotations["ibfeed.dev/parked"] is annotations["ibfeed.dev/failed-logins"] is None
    history = parse_history(annotations["ibfeed.dev/history"] or "")
    assert history == History(tries=(NOW,))
