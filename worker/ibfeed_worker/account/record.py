"""The record of an account's logins, kept as annotations of its Lease so that it outlives the pod. Pure.

IB locks a user out after a few wrong passwords, whoever typed them, so the count may not start anew with a process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ibfeed_api.names import (
    ANNOTATION_FAILED_LOGINS,
    ANNOTATION_LAST_FAILURE,
    ANNOTATION_NEXT_LOGIN,
    ANNOTATION_PARKED,
    Reason,
)

FIRST_DELAY: Final = timedelta(seconds=30)
LONGEST_DELAY: Final = timedelta(minutes=15)
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


def parse(annotations: Mapping[str, str]) -> LoginRecord:
    """The record in a Lease's annotations; what makes no sense there counts as absent."""
    failed = annotations.get(ANNOTATION_FAILED_LOGINS, "0")
    try:
        next_login = datetime.fromisoformat(annotations.get(ANNOTATION_NEXT_LOGIN, ""))
    except ValueError:
        next_login = None
    if next_login is not None and next_login.tzinfo is None:
        next_login = next_login.replace(tzinfo=UTC)
    return LoginRecord(
        failed=int(failed) if failed.isdecimal() else 0,
        last_failure=annotations.get(ANNOTATION_LAST_FAILURE, ""),
        next_login=next_login,
        parked=annotations.get(ANNOTATION_PARKED, ""),
    )


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
    )


def as_annotations(record: LoginRecord) -> dict[str, str | None]:
    """The record as a merge-patch of annotations: None removes one."""
    next_login = record.next_login
    return {
        ANNOTATION_FAILED_LOGINS: str(record.failed) if record.failed else None,
        ANNOTATION_LAST_FAILURE: record.last_failure or None,
        ANNOTATION_NEXT_LOGIN: next_login.astimezone(UTC).isoformat(timespec="seconds") if next_login else None,
        ANNOTATION_PARKED: record.parked or None,
    }
