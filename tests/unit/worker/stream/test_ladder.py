"""When the ladder is asked for: one for the account, again while IB does not answer, never while it runs."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_worker.stream.ladder import FIRST_PATIENCE_S, MOST_PATIENCE_S, Asked, LadderStep, Target, reconcile
from ibfeed_worker.stream.session_facts import account_of

ES, CL = Target(495512563, "CME"), Target(212921504)
DAY = 86_400.0


def test_form_of_the_commands() -> None:
    step = reconcile(ES, "DU123", None, 0.0)
    assert step.commands == (b"sbd+DU123+495512563+CME",)
    assert reconcile(CL, "DU123", step.asked, 1.0).commands == (b"ubd+DU123", b"sbd+DU123+212921504")
    assert reconcile(None, "DU123", step.asked, 1.0).commands == (b"ubd+DU123",)


def test_nothing_is_asked_before_ib_has_named_the_account() -> None:
    assert reconcile(ES, None, None, 0.0) == LadderStep((), None)


def test_a_ladder_that_runs_is_left_alone() -> None:
    asked = reconcile(ES, "DU123", None, 0.0).asked
    assert asked is not None
    running = asked.answered()
    for now in (FIRST_PATIENCE_S, DAY):
        step = reconcile(ES, "DU123", running, now)
        assert (step.commands, step.asked) == ((), running)


def test_a_dead_ladder_is_asked_again_at_once() -> None:
    asked = reconcile(ES, "DU123", None, 0.0).asked
    assert asked is not None
    assert reconcile(ES, "DU123", asked.answered().dead(900.0), 900.0).commands == (
        b"ubd+DU123",
        b"sbd+DU123+495512563+CME",
    )


def test_without_an_answer_it_is_asked_again_ever_more_seldom() -> None:
    asked, now, times = reconcile(ES, "DU123", None, 0.0).asked, 0.0, [0.0]
    while now < 60 * DAY:
        assert asked is not None
        assert asked.again_at is not None
        now = asked.again_at
        step = reconcile(ES, "DU123", asked, now)
        assert step.commands
        times.append(now)
        asked = step.asked
    pauses = [b - a for a, b in pairwise(times)]
    assert pauses[:3] == [10.0, 20.0, 40.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == MOST_PATIENCE_S


@given(st.lists(st.sampled_from([ES, CL, None]), max_size=12))
def test_at_most_one_ladder_is_open(wishes: list[Target | None]) -> None:
    opened: set[bytes] = set()
    asked: Asked | None = None
    for now, wish in enumerate(wishes):
        step = reconcile(wish, "DU123", asked, float(now))
        asked = step.asked
        for command in step.commands:
            if command.startswith(b"ubd"):
                opened.clear()
            else:
                opened.add(command)
        assert len(opened) == (wish is not None)


@pytest.mark.parametrize(
    ("args", "account"),
    [
        ({"accounts": ["DU123"], "isPaper": True}, "DU123"),
        ({"accounts": ["DU1", "DU2"], "selectedAccount": "DU2"}, "DU2"),
        ({"accounts": [None, "DU2"], "selectedAccount": ""}, "DU2"),
        ({"accounts": ["DU1+2"]}, None),
        ({"accounts": "DU1"}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_account_that_an_act_frame_names(args: object, account: str | None) -> None:
    assert account_of(json.dumps(args).encode()) == account
    assert account_of(b"{") is None
