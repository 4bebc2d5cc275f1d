"""When it is IB's login page, and not one account after the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ibfeed_api.logins import PageTrouble, parse_troubles, written
from ibfeed_api.reasons import Reason
from ibfeed_worker.account.page_trouble import (
    ALIKE,
    ENDED_KEPT,
    OTHERS_AFTER,
    PROBE_TAKES,
    TOGETHER,
    Troubles,
    meant,
    noted,
    of_account,
    passed,
    probe_at,
    probing,
)

NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MINE, THEIRS = "settings", "others"


def note(
    troubles: Troubles, account: int, minutes: float = 0, reason: Reason = Reason.SECOND_FACTOR, settings: str = MINE
) -> Troubles:
    found = noted(troubles, reason, "the login asks for a second factor", account, NOW + minutes * MINUTE, settings)
    assert parse_troubles(written(found)) == found, "it survives the annotation"
    return found


def common(reason: Reason = Reason.SECOND_FACTOR) -> tuple[Troubles, PageTrouble]:
    troubles = note(note((), 1, 0, reason), 2, 1, reason)
    trouble = meant(troubles, MINE)
    assert trouble is not None
    return troubles, trouble


def test_one_account_is_that_account() -> None:
    troubles = note(note((), 1), 1, 3)
    assert meant(troubles, MINE) is None
    assert not of_account(troubles, Reason.SECOND_FACTOR, 1)


@pytest.mark.parametrize("reason", sorted(ALIKE))
def test_two_of_a_kind_within_minutes_are_the_page(reason: Reason) -> None:
    troubles, trouble = common(reason)
    assert sorted(trouble.accounts) == [1, 2]
    assert (trouble.since, trouble.reason) == (NOW, reason)
    assert of_account(troubles, reason, 1)
    assert of_account(troubles, reason, 2)
    assert not of_account(troubles, reason, 3)


def test_two_of_different_kinds_are_not() -> None:
    assert meant(note(note((), 1), 2, 1, Reason.ACCOUNT_LOCKED), MINE) is None


def test_two_that_lie_apart_are_not() -> None:
    later = TOGETHER / MINUTE + 1
    assert meant(note(note((), 1), 2, later), MINE) is None
    assert meant(note(note(note((), 1), 1, 9), 2, 18), MINE) is not None, "the first one's latest counts"


def test_a_login_that_passes_in_between_tells_them_apart() -> None:
    assert meant(note(passed(note((), 1), 9, NOW), 2, 1), MINE) is None


def test_what_others_met_with_other_settings_is_not_ours() -> None:
    troubles = note(note((), 1, 0, settings=THEIRS), 2, 1, settings=THEIRS)
    assert meant(troubles, MINE) is None
    assert meant(troubles, THEIRS) is not None
    assert meant(note(troubles, 3, 2), THEIRS) == meant(troubles, THEIRS), "a failure of ours does not touch it"


def test_the_accounts_that_met_it_probe_first() -> None:
    _, trouble = common()
    assert probe_at(trouble, 2) == NOW + 6 * MINUTE
    assert probe_at(trouble, 3) is None


def test_others_probe_once_these_have_not_helped() -> None:
    troubles, _ = common()
    for minutes in range(6, 6 + 10 * OTHERS_AFTER, 10):
        trouble = meant(troubles, MINE)
        assert trouble is not None
        assert probe_at(trouble, 3) is None
        troubles = note(troubles, 1, minutes)
    trouble = meant(troubles, MINE)
    assert trouble is not None
    assert probe_at(trouble, 3) is not None


@pytest.mark.parametrize(
    ("reason", "minutes"),
    [
        (Reason.SECOND_FACTOR, [5, 5, 10, 15, 20, 30, 45, 45, 45]),
        (Reason.LOGIN_FAILED, [5, 5, 10, 15, 20, 30, 45, 45, 45]),
        (Reason.WRONG_CREDENTIALS, [5, 30, 120, 240, 480, 720, 1440, 1440, 1440]),  # IB counts these
        (Reason.ACCOUNT_LOCKED, [30, 60, 120, 240, 240, 240, 240, 240, 240]),
    ],
)
def test_probes_become_rarer(reason: Reason, minutes: list[float]) -> None:
    troubles, _ = common(reason)
    at, waits = 1.0, []
    for probe in range(len(minutes)):
        trouble = meant(troubles, MINE)
        assert trouble is not None
        assert trouble.next_probe is not None
        waits.append((trouble.next_probe - NOW) / MINUTE - at)
        at = (trouble.next_probe - NOW) / MINUTE
        troubles = note(troubles, 1 + probe % 2, at, reason)
    assert waits == minutes


def test_a_live_account_is_never_probed() -> None:
    _, trouble = common(Reason.NOT_PAPER)
    assert probe_at(trouble, 1) is None


def test_one_probes_at_a_time() -> None:
    troubles, trouble = common()
    at = NOW + 6 * MINUTE
    under_way = meant(probing(troubles, trouble, at), MINE)
    assert under_way is not None
    assert probe_at(under_way, 1) == at + PROBE_TAKES, "if nothing is heard of it"


def test_a_login_that_passes_ends_it_for_all() -> None:
    troubles, _ = common()
    ended = passed(troubles, 9, NOW + 6 * MINUTE)
    assert meant(ended, MINE) is None
    assert [one.ended for one in ended] == [NOW + 6 * MINUTE], "kept, for what was held against the accounts is void"
    later = NOW + 7 * MINUTE + ENDED_KEPT
    assert passed(ended, 9, later) == ()


def test_a_login_that_passes_says_nothing_of_live_accounts() -> None:
    """That comes after the login: only a session that streams says it."""
    troubles, _ = common(Reason.NOT_PAPER)
    assert passed(troubles, 9, NOW) == troubles
    assert meant(passed(troubles, 9, NOW, sessions=True), MINE) is None


def test_accounts_that_fail_while_others_pass_are_ill_themselves() -> None:
    troubles = note(note(passed(common()[0], 9, NOW + 2 * MINUTE), 1, 3), 2, 4)
    assert meant(troubles, MINE) is None
    assert meant(note(troubles, 3, 5), MINE) is not None, "with another one they are two again"


def test_an_account_that_logs_in_again_is_well() -> None:
    troubles = passed(common()[0], 9, NOW + 2 * MINUTE)
    troubles = passed(passed(troubles, 1, NOW + 3 * MINUTE), 2, NOW + 3 * MINUTE)
    assert troubles == ()
    assert meant(note(note(troubles, 1, 60), 2, 61), MINE) is not None


def test_a_page_that_says_something_else_replaces_it() -> None:
    troubles, before = common()
    troubles = note(troubles, 1, 6, Reason.LOGIN_FAILED)
    trouble = meant(troubles, MINE)
    assert trouble is not None
    assert (trouble.reason, trouble.probes) == (Reason.SECOND_FACTOR, before.probes + 1), "a probe like any other"
    trouble = meant(note(troubles, 2, 11, Reason.LOGIN_FAILED), MINE)
    assert trouble is not None
    assert trouble.reason == Reason.LOGIN_FAILED


@pytest.mark.parametrize(
    "text", ["", "{", "[{}]", "[1]", "\ud800", '[{"reason":"x","text":"","since":"2026-11-18T15:00:00"}]']
)
def test_what_makes_no_sense_is_no_trouble(text: str) -> None:
    assert parse_troubles(text) == ()
