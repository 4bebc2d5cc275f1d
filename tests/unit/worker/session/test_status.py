"""What is said of a session that is about to be replaced, or of a worker that is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Session
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.session.status import Contests, SessionStatus


@pytest.fixture
def board() -> SessionStatus:
    board = SessionStatus(Metrics(), lambda: None)
    board.set(Session.STREAMING)
    return board


def said(board: SessionStatus) -> tuple[Session, str]:
    return board.session, board.reason


def test_due_it_streams_with_a_reason_through_a_reconnection(board: SessionStatus) -> None:
    board.relogin_due()
    assert said(board) == (Session.STREAMING, Reason.RELOGIN_DUE)
    board.set(Session.RECONNECTING, Reason.SESSION_LOST, "stream ended")
    assert said(board) == (Session.RECONNECTING, Reason.SESSION_LOST), "nobody has been relieved yet"
    board.set(Session.STREAMING)
    assert said(board) == (Session.STREAMING, Reason.RELOGIN_DUE)
    board.relogin_over()
    assert said(board) == (Session.STREAMING, "")


def test_under_way_each_state_has_the_reason_until_it_streams(board: SessionStatus) -> None:
    board.relogin_due()
    board.relogin_begins()
    for state in (Session.LOGGING_IN, Session.STARTING_GATEWAY, Session.LOGGING_IN, Session.CONNECTING):
        board.set(state)
        assert said(board) == (state, Reason.RELOGIN_DUE)
    board.set(Session.STREAMING)
    board.set(Session.CONNECTING)
    assert said(board) == (Session.CONNECTING, "")


def test_a_failure_is_a_failure(board: SessionStatus) -> None:
    board.relogin_begins()
    board.set(Session.BACKING_OFF, Reason.LOGIN_TIMEOUT, "no answer")
    assert said(board) == (Session.BACKING_OFF, Reason.LOGIN_TIMEOUT)
    board.set(Session.LOGGING_IN)
    assert said(board) == (Session.LOGGING_IN, "")


def test_who_is_told_to_stop_says_so_first(board: SessionStatus) -> None:
    board.relogin_due()
    board.leave()
    assert said(board) == (Session.STREAMING, Reason.LEAVING)


def test_during_ibs_daily_reset_a_lost_session_is_called_so_and_counted() -> None:
    metrics, resetting = Metrics(), [True]
    board = SessionStatus(metrics, lambda: None, lambda: resetting[0])
    board.set(Session.RECONNECTING, Reason.SESSION_LOST, "stream ended: closed")
    assert (board.reason, "stream ended: closed" in board.message) == (Reason.DAILY_RESET, True)
    board.set(Session.BACKING_OFF, Reason.WRONG_CREDENTIALS, "no")
    assert board.reason == Reason.WRONG_CREDENTIALS, "which no reset explains"
    resetting[0] = False
    board.set(Session.RECONNECTING, Reason.SESSION_LOST, "stream ended: closed")
    assert board.reason == Reason.SESSION_LOST
    counted = {
        sample.labels["reason"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "ibfeed_session_reasons_total"
    }
    assert counted == {"DailyReset": 1, "WrongCredentials": 1, "SessionLost": 1}


def test_a_session_taken_back_is_news_for_ten_minutes() -> None:
    at = datetime(2026, 11, 26, 12, tzinfo=UTC)
    once = Contests().another(at)
    twice = once.another(at + timedelta(minutes=9))
    assert "once, the last time at 12:00:00 UTC" in once.text
    assert "2 times, the last time at 12:09:00 UTC" in twice.text
    assert twice.are_news(at + timedelta(minutes=18))
    assert not twice.are_news(at + timedelta(minutes=20))
    assert not Contests().are_news(at)
    assert once.another(at + timedelta(hours=1)).count == 1


def test_a_contested_session_streams_with_that_reason() -> None:
    board = SessionStatus(Metrics(), lambda: None)
    board.contested()
    board.set(Session.RECONNECTING, Reason.COMPETING, "taking it back")
    board.set(Session.STREAMING)
    assert (board.reason, "accounts.compete" in board.message) == (Reason.COMPETING, True)
