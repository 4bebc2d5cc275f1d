from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.failsafe import (
    LONGEST_S,
    SPREAD_S,
    Member,
    Words,
    format_members,
    may_go_on,
    may_take,
    parse_members,
    spared,
)
from ibfeed_api.lease import SELF_FENCE_S, TAKEOVER_S

MEMBERS = ("a", "b", "c", "d", "e")


def named(*sets: Iterable[str]) -> list[frozenset[str]]:
    return [frozenset(names) for names in sets]


@pytest.mark.parametrize(
    ("sets", "away", "goes_on"),
    [
        (named(), "abc", False),  # it named nobody: the rule without failsafe
        (named(""), "abc", False),
        (named("a"), "", False),
        (named("a"), "a", True),
        (named("ab"), "a", False),
        (named("ab"), "ab", True),
        (named("abc"), "ab", True),  # one may have died
        (named("abc"), "a", False),
        (named("abcde"), "abcd", True),
        (named("abcde"), "abcx", False),  # a stranger's answer does not count
        (named("ab", "bc"), "ab", False),  # a renewal whose answer was lost may have named others
        (named("ab", "bc"), "abc", True),
    ],
)
def test_a_holder_goes_on_when_nobody_reaches_the_api_server(
    sets: list[frozenset[str]], away: str, goes_on: bool
) -> None:
    assert may_go_on(sets, away) is goes_on


@pytest.mark.parametrize(
    ("members", "vouching", "unchanged_s", "may"),
    [
        ("", "", TAKEOVER_S, True),  # a holder without failsafe has fenced itself
        ("", "", TAKEOVER_S - 0.1, False),
        ("a", "", TAKEOVER_S, False),
        ("a", "a", TAKEOVER_S, True),
        ("a", "a", TAKEOVER_S - 0.1, False),
        ("ab", "b", TAKEOVER_S, True),
        ("abc", "b", TAKEOVER_S, False),
        ("abc", "bc", TAKEOVER_S, True),
        ("abc", "bx", TAKEOVER_S, False),
        ("abc", "", LONGEST_S, False),
        ("abc", "", LONGEST_S + TAKEOVER_S, True),  # nobody waits for ever
    ],
)
def test_a_lease_is_taken_only_when_its_holder_has_fenced_itself(
    members: str, vouching: str, unchanged_s: float, may: bool
) -> None:
    assert may_take(members, vouching, unchanged_s) is may


@given(st.integers(1, 5), st.data())
def test_members_that_allow_the_one_forbid_the_other(count: int, data: st.DataObject) -> None:
    """Of the same moment: who says away does not vouch."""
    names = MEMBERS[:count]
    away = data.draw(st.sets(st.sampled_from(names)))
    vouching = set(names) - away
    assert not (may_go_on(named(names), away) and may_take(names, vouching, TAKEOVER_S))


def test_words_and_fences_leave_no_moment_between_them() -> None:
    assert SELF_FENCE_S + SPREAD_S <= TAKEOVER_S
    assert [spared(count) for count in range(6)] == [0, 0, 0, 1, 1, 1]


def test_a_member_vouches_when_it_has_not_said_away_for_long_enough() -> None:
    words = Words(started=100.0)
    assert not words.vouches("h", 109.9), "the process before it may have said away"
    assert words.vouches("h", 110.0)
    words.say_away("h", 111.0)
    words.say_away("other", 115.0)
    assert not words.vouches("h", 120.9)
    assert words.vouches("h", 121.0)
    assert not words.vouches("other", 124.9)
    assert words.vouches("nobody", 124.9)


def test_members_stand_on_the_lease_as_json() -> None:
    members = (Member("default", "b_2", "10.0.0.2:8080", "k2"), Member("default", "a_1", "10.0.0.1:8080", "k1"))
    text = format_members(members)
    assert parse_members(text) == tuple(sorted(members))
    assert format_members(reversed(members)) == text
    assert parse_members("") == ()
    assert format_members(()) == ""


@pytest.mark.parametrize("text", ["{", "[1]", "null", '[{"name": "a"}]'])
def test_members_that_cannot_be_read_let_nobody_take_the_lease_early(text: str) -> None:
    members = [member.name for member in parse_members(text)]
    assert members
    assert not may_take(members, "abc", TAKEOVER_S)
