"""An account's Lease remembers its logins; when the next one may be tried."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.reasons import Reason
from ibfeed_worker.account.login_record import (
    COUNTED,
    DAY,
    LONGEST_YIELD,
    MOST_TRIES,
    UNDISPUTED,
    LoginRecord,
    after_failure,
    after_login,
    after_loss_to_others,
    as_annotations,
    may_log_in,
    may_try_parked,
    of_user,
    parse,
    scheduled,
    streamed,
    submitted,
    with_other_credentials,
)

NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)
INVALID = "Invalid username password combination"
FAILURES = (
    Reason.WRONG_CREDENTIALS,
    Reason.LOGIN_FAILED,
    Reason.LOGIN_TIMEOUT,
    Reason.LOGIN_PAGE_UNKNOWN,
    Reason.BROWSER_FAILED,
)


def fail(
    record: LoginRecord,
    reason: Reason = Reason.WRONG_CREDENTIALS,
    *,
    now: datetime = NOW,
    most: int = 3,
    text: str = INVALID,
    excused: bool = False,
) -> LoginRecord:
    return after_failure(record, reason, text, now=now, most=most, excused=excused)


def stored(record: LoginRecord) -> dict[str, str]:
    return {key: value for key, value in as_annotations(record).items() if value is not None}


def tried(reason: Reason, *, most: int = 3, tries: int = 9) -> list[tuple[timedelta, LoginRecord]]:
    """Failures with one reason, each as soon as it may be tried: how long after the first, and the record then."""
    record, now, found = LoginRecord(), NOW, []
    for _ in range(tries):
        record = fail(submitted(record, now), reason, now=now, most=most)
        found.append((now - NOW, record))
        record = parse(stored(record))  # a new process each time
        now = record.history.try_again_at or may_log_in(record, now) or now
    return found


def test_refused_credentials_are_tried_after_minutes_then_hours() -> None:
    moments = [after for after, _ in tried(Reason.WRONG_CREDENTIALS)]
    minutes = [(later - sooner) / timedelta(minutes=1) for sooner, later in pairwise(moments)]
    assert minutes == [0.5, 5, 30, 120, 240, 480, 720, 1440]


def test_the_fifth_refusal_is_hours_away() -> None:
    """IB locks a user after five (others' defaults say so), and it is not known within which time."""
    fifth, _ = tried(Reason.WRONG_CREDENTIALS)[4]
    assert fifth > timedelta(hours=2)


def test_three_pieces_of_evidence_park_the_account() -> None:
    parked = [(record.failed, record.parked) for _, record in tried(Reason.WRONG_CREDENTIALS, tries=4)]
    # The second try, half a minute after the first, is the same piece.
    assert parked == [(1, ""), (1, ""), (2, ""), (3, "WrongCredentials")]


def test_three_quick_refusals_are_one_piece_of_evidence() -> None:
    record = LoginRecord()
    for seconds in (0, 40, 89):
        record = fail(record, now=NOW + timedelta(seconds=seconds))
    assert (record.failed, record.parked) == (1, "")
    assert fail(record, now=NOW + timedelta(seconds=90)).failed == 2


def test_one_refusal_parks_if_one_is_the_most() -> None:
    record = fail(LoginRecord(), most=1)
    assert (record.parked, record.next_login) == ("WrongCredentials", None)
    assert record.history.try_again_at == NOW + timedelta(hours=2)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in COUNTED])
def test_what_is_no_evidence_never_parks(reason: Reason) -> None:
    for after, record in tried(reason, most=1, tries=40):
        assert (record.failed, record.parked) == (0, ""), after


@pytest.mark.parametrize("reason", sorted(COUNTED))
def test_what_happens_to_others_alike_is_no_evidence(reason: Reason) -> None:
    record = LoginRecord()
    for minutes in range(0, 600, 10):
        record = fail(record, reason, now=NOW + timedelta(minutes=minutes), most=1, excused=True)
    assert (record.failed, record.parked) == (0, "")


@given(st.lists(st.tuples(st.sampled_from(FAILURES), st.booleans()), min_size=12, max_size=60), st.integers(1, 10))
def test_ten_forms_at_most_are_sent_in_a_day(failures: list[tuple[Reason, bool]], most: int) -> None:
    """Whatever the page says, and whether logins pass or not: as long as nothing streams."""
    record, now, sent = LoginRecord(), NOW, list[datetime]()
    for reason, passes in failures:
        now = max(now, record.history.try_again_at or now, may_log_in(record, now) or now)
        sent.append(now)
        record = submitted(record, now)
        record = after_login(record) if passes else fail(record, reason, now=now, most=most)
        now += timedelta(seconds=5)
    for first, last in zip(sent, sent[MOST_TRIES:], strict=False):
        assert last - first >= DAY - timedelta(seconds=1)


def test_a_stream_makes_its_logins_count_no_more() -> None:
    record = LoginRecord()
    for minutes in range(9):
        record = submitted(record, NOW + timedelta(minutes=minutes))
    later = NOW + timedelta(minutes=10)
    assert may_log_in(after_login(record), later) is not None
    assert may_log_in(streamed(after_login(record)), later) is None


@pytest.mark.parametrize("reason", [Reason.SECOND_FACTOR, Reason.ACCOUNT_LOCKED, Reason.WRONG_MODE, Reason.NOT_PAPER])
def test_what_another_try_soon_cannot_help_parks_at_once(reason: Reason) -> None:
    assert fail(LoginRecord(), reason).parked == reason.value


@pytest.mark.parametrize(
    ("reason", "hours"),
    [
        (Reason.WRONG_CREDENTIALS, 2),
        (Reason.SECOND_FACTOR, 2),
        (Reason.ACCOUNT_LOCKED, 24),
        (Reason.WRONG_MODE, 24),
        (Reason.NOT_PAPER, None),  # each try would take a live user's session from its owner
    ],
)
def test_a_parked_account_is_tried_again_after_hours(reason: Reason, hours: int | None) -> None:
    record = parse(stored(fail(LoginRecord(), reason, most=1)))
    assert not may_try_parked(record, NOW + timedelta(hours=hours or 1000) - timedelta(seconds=1))
    assert may_try_parked(record, NOW + timedelta(hours=hours or 1000)) is (hours is not None)


def test_a_parked_account_stays_parked_when_the_try_says_nothing() -> None:
    record = fail(LoginRecord(), most=1)
    record = fail(record, Reason.LOGIN_FAILED, now=NOW + timedelta(hours=2), text="ERROR")
    assert record.parked == "WrongCredentials"
    assert record.history.parked_since == NOW
    assert record.history.try_again_at == NOW + timedelta(hours=6)


def test_what_is_parked_tells_since_when_and_after_which_texts() -> None:
    record = LoginRecord()
    for minutes, text in ((0, INVALID), (5, "Invalid credentials"), (10, INVALID), (20, INVALID), (60, "x" * 900)):
        record = fail(record, now=NOW + timedelta(minutes=minutes), text=text)
    assert record.history.parked_since == NOW + timedelta(minutes=10)
    assert [one.text for one in record.history.said] == ["Invalid credentials", INVALID, "x" * 200]


def test_a_login_that_passes_ends_it_all() -> None:
    record = after_login(fail(LoginRecord(), most=1))
    assert (record.parked, record.failed, record.last_failure, record.next_login) == ("", 0, "", None)
    assert record.history.parked_since is None


def test_other_credentials_begin_a_new_record() -> None:
    record = with_other_credentials(fail(lose(LoginRecord()), most=1))
    assert record == replace(LoginRecord(), lost_to_others=1)


def test_another_user_begins_a_new_record() -> None:
    record = of_user(fail(LoginRecord(), most=1), "a" * 16, NOW)
    assert record.parked, "the user was not known before"
    later = NOW + timedelta(days=1)
    assert of_user(record, "a" * 16, later) == record, "since when it is that user's stays"
    assert of_user(record, "b" * 16, later) == LoginRecord(user="b" * 16, user_since=later)


def test_the_form_waits_longer_after_each_such_answer() -> None:
    record, waits = LoginRecord(), []
    for _ in range(7):
        waits.append(record.submit_wait_s)
        record = parse(stored(fail(record, most=100)))
    assert waits == [5, 10, 15, 20, 25, 30, 30]
    assert parse(stored(after_login(record))).submit_wait_s == 10
    assert fail(LoginRecord(), Reason.LOGIN_FAILED).submit_wait_s == 5


def lose(record: LoginRecord, lasted: timedelta = timedelta(minutes=1)) -> LoginRecord:
    return after_loss_to_others(record, now=NOW, lasted=lasted, first=timedelta(minutes=10))


def test_who_loses_its_session_to_somebody_stays_away_ever_longer_whatever_process_it_is() -> None:
    record, delays = LoginRecord(), []
    for _ in range(8):
        record = lose(parse(stored(after_login(record))))  # a new process each time, which has logged in
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
    record = of_user(lose(fail(submitted(fail(LoginRecord()), NOW))), "c" * 16, NOW)
    assert parse(stored(record)) == record
    assert all(value is None for value in as_annotations(LoginRecord()).values()), "a success removes them"


def test_a_person_clears_an_account_by_its_plain_annotations() -> None:
    annotations = stored(fail(submitted(LoginRecord(), NOW), Reason.SECOND_FACTOR))
    del annotations["ibfeed.dev/parked"], annotations["ibfeed.dev/failed-logins"]
    record = parse(annotations)
    assert (record.parked, record.failed, record.history.tries) == ("", 0, ())
    assert may_log_in(record, NOW) is None


@pytest.mark.parametrize(
    ("annotations", "record"),
    [
        ({}, LoginRecord()),
        ({"ibfeed.dev/failed-logins": "many", "ibfeed.dev/next-login": "soon"}, LoginRecord()),
        ({"ibfeed.dev/lost-to-others": "-1"}, LoginRecord()),
        (
            {"ibfeed.dev/failed-logins": "2", "ibfeed.dev/next-login": "2026-11-18T15:00:30Z"},
            LoginRecord(failed=2, next_login=NOW + timedelta(seconds=30)),
        ),
        ({"ibfeed.dev/history": "{"}, LoginRecord()),
        ({"ibfeed.dev/history": "[1]"}, LoginRecord()),
        ({"ibfeed.dev/history": '{"tries": ["2026-11-18T15:00:30"]}'}, LoginRecord()),  # without a zone
        ({"ibfeed.dev/history": "\ud800"}, LoginRecord()),
    ],
)
def test_what_a_person_may_have_written(annotations: dict[str, str], record: LoginRecord) -> None:
    assert parse(annotations) == record


def test_an_account_parked_by_an_earlier_version_is_scheduled() -> None:
    old = {
        "ibfeed.dev/parked": "WrongCredentials",
        "ibfeed.dev/failed-logins": "3",
        "ibfeed.dev/last-failure": INVALID,
    }
    record = parse(old)
    assert (record.parked, record.failed, record.last_failure) == ("WrongCredentials", 3, INVALID)
    assert not may_try_parked(record, NOW)
    record = parse(stored(scheduled(record, NOW)))
    assert record.parked == "WrongCredentials"
    assert record.history.try_again_at == NOW + timedelta(hours=2)
    assert scheduled(parse({"ibfeed.dev/parked": "NotPaper"}), NOW).history.try_again_at is None
    assert scheduled(parse({"ibfeed.dev/parked": "by hand"}), NOW).history.try_again_at is not None


def test_the_history_is_json_that_a_person_can_read() -> None:
    history = json.loads(stored(fail(submitted(LoginRecord(), NOW), most=1))["ibfeed.dev/history"])
    assert history == {
        "reason": "WrongCredentials",
        "inARow": 1,
        "countedAt": "2026-11-18T15:00:00Z",
        "said": [{"at": "2026-11-18T15:00:00Z", "text": INVALID}],
        "parkedSince": "2026-11-18T15:00:00Z",
        "tryAgainAt": "2026-11-18T17:00:00Z",
        "tries": ["2026-11-18T15:00:00Z"],
        "submitWaitS": 10.0,
    }
