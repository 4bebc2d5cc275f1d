from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ibfeed_api.names import Reason
from ibfeed_worker.account.record import (
    LONGEST_YIELD,
    UNDISPUTED,
    LoginRecord,
    after_failure,
    after_login,
    after_loss_to_others,
    as_annotations,
    parse,
)

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)


def fail(record: LoginRecord, reason: Reason = Reason.WRONG_CREDENTIALS, most: int = 10) -> LoginRecord:
    return after_failure(record, reason, "Invalid username password combination", now=NOW, most=most)


def test_the_delay_doubles_up_to_15_minutes() -> None:
    record, delays = LoginRecord(), []
    for _ in range(8):
        record = fail(record)
        assert record.next_login is not None
        delays.append((record.next_login - NOW).total_seconds())
    assert delays == [30, 60, 120, 240, 480, 900, 900, 900]


def test_the_third_wrong_password_parks_the_account() -> None:
    record = fail(fail(LoginRecord(), most=3), most=3)
    assert not record.parked
    record = fail(record, most=3)
    assert (record.parked, record.failed, record.next_login) == ("WrongCredentials", 3, None)


@pytest.mark.parametrize("reason", [Reason.SECOND_FACTOR, Reason.ACCOUNT_LOCKED, Reason.WRONG_MODE, Reason.NOT_PAPER])
def test_what_another_try_cannot_help_parks_at_once(reason: Reason) -> None:
    assert fail(LoginRecord(), reason).parked == reason.value


def lose(record: LoginRecord, lasted: timedelta = timedelta(minutes=1)) -> LoginRecord:
    return after_loss_to_others(record, now=NOW, lasted=lasted, first=timedelta(minutes=10))


def test_who_loses_its_session_to_somebody_stays_away_ever_longer_whatever_process_it_is() -> None:
    record, delays = LoginRecord(), []
    for _ in range(8):
        stored = {key: value for key, value in as_annotations(after_login(record)).items() if value is not None}
        record = lose(parse(stored))  # a new process each time, which has logged in
        assert record.next_login is not None
        delays.append((record.next_login - NOW) / timedelta(minutes=10))
    assert delays == [1, 2, 4, 8, 16, 32, 36, 36]
    assert timedelta(hours=6) == LONGEST_YIELD


def test_a_session_that_nobody_wanted_for_an_hour_is_no_quarrel() -> None:
    assert lose(lose(LoginRecord()), UNDISPUTED).next_login == NOW + timedelta(minutes=10)


def test_losing_to_somebody_is_no_failed_login() -> None:
    record = lose(fail(LoginRecord()))
    assert (record.failed, record.parked) == (1, "")
    assert fail(record).lost_to_others == 1


def test_it_survives_the_annotations() -> None:
    record = lose(fail(fail(LoginRecord())))
    stored = {key: value for key, value in as_annotations(record).items() if value is not None}
    assert parse(stored) == record
    assert all(value is None for value in as_annotations(LoginRecord()).values()), "a success removes them"


@pytest.mark.parametrize(
    ("stored", "record"),
    [
        ({}, LoginRecord()),
        ({"ibfeed.dev/failed-logins": "many", "ibfeed.dev/next-login": "soon"}, LoginRecord()),
        ({"ibfeed.dev/lost-to-others": "-1"}, LoginRecord()),
        (
            {"ibfeed.dev/failed-logins": "2", "ibfeed.dev/next-login": "2026-11-21T06:00:30Z"},
            LoginRecord(failed=2, next_login=NOW + timedelta(seconds=30)),
        ),
    ],
)
def test_what_a_person_may_have_written(stored: dict[str, str], record: LoginRecord) -> None:
    assert parse(stored) == record
