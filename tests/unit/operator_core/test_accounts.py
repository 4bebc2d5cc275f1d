from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ibfeed_operator.accounts import Choice, choose
from ibfeed_operator.facts import AccountLease

RANGE = range(1, 5)


def lease(index: int, **more: object) -> AccountLease:
    return AccountLease(name=f"ib-account-s-{index}", source="s", index=index, **more)  # type: ignore[arg-type]


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
