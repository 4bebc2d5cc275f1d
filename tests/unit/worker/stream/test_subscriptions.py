from __future__ import annotations

import itertools
import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from ibfeed_worker.stream.subscriptions import MOST_AT_ONCE, PAUSE_S, RENEW_S, Refusals, first_renewal, reconcile

IB_EXPIRES_S = 600.0  # the shorter one of what sources say


def settle(
    desired: list[int], current: Mapping[int, float], now: float, lines: int = 100
) -> tuple[list[bytes], dict[int, float], float]:
    """Step until nothing is left to do; commands, subscriptions, and the time by then."""
    commands: list[bytes] = []
    while True:
        step = reconcile(desired, current, now, lines=lines)
        commands += step.commands
        current = step.current
        if not step.commands:
            return commands, dict(current), now
        now += PAUSE_S


def test_asks_for_the_fields_of_a_tick() -> None:
    (command,) = reconcile([495512572], {}, 0.0, lines=100).commands
    verb, conid, fields = command.split(b"+", 2)
    assert (verb, conid) == (b"smd", b"495512572")
    assert set(json.loads(fields)["fields"]) == {"31", "7059", "84", "88", "86", "85", "7762", "87", "7697", "6509"}


def test_subscribes_and_then_rests_until_the_first_renewal() -> None:
    step = reconcile([1, 2], {}, 10.0, lines=100)
    assert step.started == (1, 2)
    again = reconcile([1, 2], step.current, 10.1, lines=100)
    assert again.commands == ()
    assert again.wake_at == min(step.current.values())
    renewal = reconcile([1, 2], step.current, max(step.current.values()), lines=100)
    assert (renewal.started, set(renewal.renewed)) == ((), {1, 2})


def test_unsubscribes_what_is_no_longer_wanted_first() -> None:
    _, current, now = settle([1, 2], {}, 0.0)
    assert reconcile([3, 2], current, now, lines=2).commands[0] == b"umd+1+{}"


def test_never_uses_more_lines_than_the_account_has_and_says_who_is_left_out() -> None:
    _, current, now = settle(list(range(1, 13)), {}, 0.0, lines=5)
    assert set(current) == {1, 2, 3, 4, 5}
    assert reconcile(list(range(1, 13)), current, now, lines=5).refused == 7
    _, current, _ = settle(list(range(2, 13)), current, now, lines=5)
    assert set(current) == {2, 3, 4, 5, 6}


def test_a_hundred_contracts_are_spread_over_steps() -> None:
    step = reconcile(list(range(1, 101)), {}, 0.0, lines=100)
    assert len(step.commands) == MOST_AT_ONCE
    assert step.wake_at == PAUSE_S
    commands, current, now = settle(list(range(1, 101)), {}, 0.0)
    assert (len(commands), len(current)) == (100, 100)
    assert now < 2


def test_renewals_come_in_time_and_not_all_at_once() -> None:
    desired = list(range(640_000_000, 640_000_100))
    current: Mapping[int, float]
    _, current, now = settle(desired, {}, 0.0)
    sent: dict[int, list[float]] = {conid: [0.0] for conid in desired}
    while now < 2000:
        step = reconcile(desired, current, now, lines=100)
        for command in step.commands:
            sent[int(command.split(b"+")[1])].append(now)
        current = step.current
        assert step.wake_at is not None
        now = max(step.wake_at, now + 0.01)
    gaps = [b - a for times in sent.values() for a, b in itertools.pairwise(times)]
    assert max(gaps) < IB_EXPIRES_S - 60
    seconds = sorted(int(time) for times in sent.values() for time in times[1:])
    assert max(seconds.count(second) for second in set(seconds)) <= 5


@given(st.integers(1, 2**40))
def test_first_renewals_are_in_the_second_half_of_the_period(conid: int) -> None:
    assert RENEW_S / 2 <= first_renewal(conid) <= RENEW_S


@given(st.lists(st.lists(st.integers(1, 30), unique=True, max_size=30), max_size=8), st.integers(0, 20))
def test_any_sequence_of_wishes_settles_without_loops(wishes: list[list[int]], lines: int) -> None:
    current: Mapping[int, float] = {}
    now = 0.0
    for desired in wishes:
        before = set(current)
        commands, current, now = settle(desired, current, now, lines)
        kept = set(desired[:lines])
        assert set(current) == kept
        assert sorted(commands) == sorted(set(commands))  # none twice
        assert sum(command.startswith(b"umd") for command in commands) == len(before - kept)
        assert sum(command.startswith(b"smd") for command in commands) == len(kept - before)


def test_a_refused_contract_is_asked_for_again_ever_later() -> None:
    refusals, now, pauses = Refusals(60.0), 0.0, []
    for _ in range(7):
        refusals.add(2, now)
        assert refusals.asked([1, 2, 3], now) == [1, 3]
        again = refusals.next_at(now)
        assert again is not None
        assert refusals.asked([1, 2, 3], again) == [1, 2, 3]
        pauses.append(again - now)
        now = again
    assert pauses == [60, 120, 240, 480, 960, 960, 960]
    refusals.forget(2)
    assert refusals.next_at(now) is None
    refusals.add(2, now)
    assert refusals.next_at(now) == now + 60
