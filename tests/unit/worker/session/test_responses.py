"""IB answers one call in many forms: each has a name, and none raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ibfeed_worker.session import responses
from ibfeed_worker.session.next_step import SessionStep, next_step
from ibfeed_worker.session.responses import (
    Alive,
    AuthStatus,
    IbAccounts,
    NoSession,
    Throttled,
    Tickle,
    Unavailable,
    Unknown,
)

OK = AuthStatus(authenticated=True, connected=True, competing=False)


def tickle_body(**status: Any) -> bytes:
    return json.dumps(
        {
            "session": "bb665d0f55b6289d70bc7380089fc96f",
            "ssoExpires": 460311,
            "collission": False,
            "userId": 123456789,
            "hmds": {"error": "no bridge"},
            "iserver": {"authStatus": {"message": "", "MAC": "98:F2:B3:23:BF:A0", **status}},
        }
    ).encode()


GOOD = tickle_body(authenticated=True, connected=True, competing=False)


@pytest.mark.parametrize(
    ("status", "body", "step"),
    [
        (200, GOOD, SessionStep.STREAM),
        (200, tickle_body(authenticated=False, connected=True, competing=False), SessionStep.REPAIR),
        (200, tickle_body(authenticated=False, connected=False, competing=False), SessionStep.LOGIN),
        (200, tickle_body(authenticated=True, connected=True, competing=True), SessionStep.YIELD),
        (200, tickle_body(authenticated=False, connected=True, competing=True), SessionStep.YIELD),
        (200, b'{"error":"no session"}', SessionStep.LOGIN),
        (401, b"", SessionStep.LOGIN),
        (401, b"<html>Access Denied</html>", SessionStep.LOGIN),
        (500, b'{"error":"no session"}', SessionStep.WAIT),
        (503, b"<html>503 Service Unavailable</html>", SessionStep.WAIT),
        (504, b"no answer within 5 s", SessionStep.WAIT),
        (429, b"", SessionStep.KEEP_SILENT),
        (200, b"", SessionStep.WAIT),
        (200, b"[]", SessionStep.WAIT),
        (200, b"{}", SessionStep.WAIT),
        (200, b'{"session":null}', SessionStep.WAIT),
        (200, b'{"session":"abc"}', SessionStep.LOGIN),
        (403, b"Access Denied", SessionStep.WAIT),
        (200, b'{"error":"Bad Request: no bridge","statusCode":400}', SessionStep.WAIT),
    ],
)
def test_tickle(status: int, body: bytes, step: SessionStep) -> None:
    assert next_step(responses.tickle(status, body), since_login=None) is step


def test_a_good_tickle() -> None:
    assert responses.tickle(200, GOOD) == Alive("bb665d0f55b6289d70bc7380089fc96f", OK, 460311)


@pytest.mark.parametrize(
    ("status", "since_login", "step"),
    [
        (AuthStatus(False, False, False), 1.0, SessionStep.SETTLE),
        (AuthStatus(False, True, False), 1.0, SessionStep.SETTLE),
        (AuthStatus(False, True, False), 9.0, SessionStep.REPAIR),
        (AuthStatus(False, False, False), 9.0, SessionStep.SETTLE),
        (AuthStatus(False, False, False), 21.0, SessionStep.LOGIN),
        (AuthStatus(False, True, True), 1.0, SessionStep.YIELD),
        (AuthStatus(True, True, False), 1.0, SessionStep.STREAM),
    ],
)
def test_after_a_login_the_brokerage_session_gets_its_time(
    status: AuthStatus, since_login: float, step: SessionStep
) -> None:
    assert next_step(Alive("s", status), since_login=since_login) is step


@pytest.mark.parametrize(
    ("since_login", "left_open", "step"),
    [
        (1.0, True, SessionStep.SETTLE),
        (9.0, True, SessionStep.TAKE),
        (1.0, False, SessionStep.YIELD),
        (None, True, SessionStep.YIELD),
    ],
)
def test_who_competes_with_a_login(since_login: float | None, left_open: bool, step: SessionStep) -> None:
    said = Alive("s", AuthStatus(authenticated=False, connected=True, competing=True))
    assert next_step(said, since_login=since_login, left_open=left_open) is step


@pytest.mark.parametrize(
    ("since_login", "step"), [(None, SessionStep.LOGIN), (1.0, SessionStep.SETTLE), (21.0, SessionStep.LOGIN)]
)
def test_no_session_just_after_a_login_is_waited_for(since_login: float | None, step: SessionStep) -> None:
    assert next_step(NoSession(), since_login=since_login) is step


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, b'{"authenticated":true,"established":true,"competing":false,"connected":true,"fail":""}', OK),
        (
            200,
            b'{"authenticated":false,"competing":false,"connected":false}',
            AuthStatus(False, False, False),
        ),
        (400, b'{"error":"Bad Request: no bridge"}', AuthStatus(False, True, False, "")),
        (401, b"", NoSession()),
        (429, b"", Throttled()),
        (500, b"x", Unavailable("HTTP 500: x")),
        (200, b'{"a":1}', Unknown('no auth status: {"a":1}')),
    ],
)
def test_auth_status(status: int, body: bytes, found: object) -> None:
    said = responses.auth_status(status, body)
    if isinstance(said, AuthStatus) and isinstance(found, AuthStatus):
        assert (said.authenticated, said.connected, said.competing) == (
            found.authenticated,
            found.connected,
            found.competing,
        )
    else:
        assert said == found


@pytest.mark.parametrize(
    ("body", "is_paper"),
    [
        (b'{"accounts":["DU1"],"isPaper":true}', True),
        (b'{"accounts":["U1"],"isPaper":false}', False),
        (b'{"accounts":["U1"]}', None),
        (b'{"accounts":["U1"],"isPaper":"true"}', None),
    ],
)
def test_only_a_true_is_paper(body: bytes, is_paper: bool | None) -> None:
    said = responses.accounts(200, body)
    assert isinstance(said, IbAccounts)
    assert said.is_paper is is_paper


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=8),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(["session", "iserver", "authStatus", "error", "connected", "accounts", "isPaper", "x"]),
            inner,
        )
    ),
    max_leaves=8,
)


@given(some.integers(200, 599), some.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_nothing_raises(status: int, body: bytes) -> None:
    said: Tickle = responses.tickle(status, body)
    assert isinstance(next_step(said, since_login=3.0), SessionStep)
    responses.auth_status(status, body)
    responses.accounts(status, body)
