"""The record of an account's logins, kept as annotations of its Lease so that it outlives the pod. Pure.

IB locks a user out after a few wrong passwords, whoever typed them, so the count may not start anew with a process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from ibfeed_api.names import (
    ANNOTATION_FAILED_LOGINS,
    ANNOTATION_LAST_FAILURE,
    ANNOTATION_LOST_TO_OTHERS,
    ANNOTATION_NEXT_LOGIN,
    ANNOTATION_PARKED,
    ANNOTATION_SESSION_OPEN,
    Reason,
)

FIRST_DELAY: Final = timedelta(seconds=30)
LONGEST_DELAY: Final = timedelta(minutes=15)
LONGEST_YIELD: Final = timedelta(hours=6)
# Whose session lasted so long before somebody took it is not fought over: the back-off starts anew.
UNDISPUTED: Final = timedelta(hours=1)
# Another try can't help; it would only bring the lock-out nearer.
PARKED_AT_ONCE: Final = frozenset({Reason.SECOND_FACTOR, Reason.ACCOUNT_LOCKED, Reason.WRONG_MODE, Reason.NOT_PAPER})
COUNTED: Final = frozenset({Reason.WRONG_CREDENTIALS, Reason.LOGIN_FAILED}) | PARKED_AT_ONCE
_TEXT_LIMIT: Final = 300


@dataclass(frozen=True, slots=True)
class LoginRecord:
    failed: int = 0
    last_failure: str = ""
    next_login: datetime | None = None
    parked: str = ""  # a Reason; only a person clears it
    lost_to_others: int = 0  # sessions in a row that somebody else took
    session_open: datetime | None = None  # when a login of ours began that no logout has followed


def parse(annotations: Mapping[str, str]) -> LoginRecord:
    """The record in a Lease's annotations; what makes no sense there counts as absent."""
    failed, lost = (annotations.get(name, "0") for name in (ANNOTATION_FAILED_LOGINS, ANNOTATION_LOST_TO_OTHERS))
    return LoginRecord(
        failed=int(failed) if failed.isdecimal() else 0,
        last_failure=annotations.get(ANNOTATION_LAST_FAILURE, ""),
        next_login=_moment(annotations.get(ANNOTATION_NEXT_LOGIN, "")),
        parked=annotations.get(ANNOTATION_PARKED, ""),
        lost_to_others=int(lost) if lost.isdecimal() else 0,
        session_open=_moment(annotations.get(ANNOTATION_SESSION_OPEN, "")),
    )


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def before_login(record: LoginRecord, *, now: datetime) -> LoginRecord:
    """The record while a login is under way: if its process dies, the next one knows whose session is still open."""
    return replace(record, session_open=now)


def after_logout(record: LoginRecord) -> LoginRecord:
    """The record once IB has no session of ours any more."""
    return replace(record, session_open=None)


def after_login(record: LoginRecord) -> LoginRecord:
    """The record after a login that succeeded; whether somebody takes that session, too, is not known yet."""
    return LoginRecord(lost_to_others=record.lost_to_others, session_open=record.session_open)


def after_loss_to_others(record: LoginRecord, *, now: datetime, lasted: timedelta, first: timedelta) -> LoginRecord:
    """The record after somebody else took the session: stay away for ``first``, twice as long each time."""
    before = record.lost_to_others if lasted < UNDISPUTED else 0
    delay = min(LONGEST_YIELD, first * 2 ** min(before, 16))
    return replace(record, next_login=now + delay, lost_to_others=before + 1)


def after_failure(record: LoginRecord, reason: Reason, text: str, *, now: datetime, most: int) -> LoginRecord:
    """The record after a login that IB counts; ``most`` failures park the account."""
    failed = record.failed + 1
    parked = reason in PARKED_AT_ONCE or failed >= most
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(failed - 1, 16))
    return LoginRecord(
        failed=failed,
        last_failure=text[:_TEXT_LIMIT],
        next_login=None if parked else now + delay,
        parked=reason.value if parked else "",
        lost_to_others=record.lost_to_others,
        session_open=record.session_open,
    )


def as_annotations(record: LoginRecord) -> dict[str, str | None]:
    """The record as a merge-patch of annotations: None removes one."""
    lost = record.lost_to_others
    return {
        ANNOTATION_FAILED_LOGINS: str(record.failed) if record.failed else None,
        ANNOTATION_LAST_FAILURE: record.last_failure or None,
        ANNOTATION_NEXT_LOGIN: _text(record.next_login),
        ANNOTATION_PARKED: record.parked or None,
        ANNOTATION_LOST_TO_OTHERS: str(lost) if lost else None,
        ANNOTATION_SESSION_OPEN: _text(record.session_open),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment is not None else None
