"""The record of an account's logins, kept as annotations of its Lease so that it outlives the pod. Pure.

IB locks a user out after a few wrong passwords from any client, so the count may not start again with a process. IB
also refuses right ones now and then. So only the page's words about credentials, at moments that lie apart, are
evidence against an account. Any other failure is tried again, more and more rarely, and never parks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ibfeed_api.labels import (
    ANNOTATION_FAILED_LOGINS,
    ANNOTATION_HISTORY,
    ANNOTATION_LAST_FAILURE,
    ANNOTATION_LOST_TO_OTHERS,
    ANNOTATION_NEXT_LOGIN,
    ANNOTATION_PARKED,
    ANNOTATION_SESSION_OPEN,
    ANNOTATION_USER,
    ANNOTATION_USER_SINCE,
)
from ibfeed_api.logins import History, Said, parse_history, whole_second, written
from ibfeed_api.reasons import Reason

LONGEST_YIELD: Final = timedelta(hours=6)
# A session that lasted so long before it was taken is not contested: the back-off starts again.
UNDISPUTED: Final = timedelta(hours=1)
# Another try soon can't help; it would only bring the lock-out nearer.
PARKED_AT_ONCE: Final = frozenset({Reason.SECOND_FACTOR, Reason.ACCOUNT_LOCKED, Reason.WRONG_MODE, Reason.NOT_PAPER})
COUNTED: Final = frozenset({Reason.WRONG_CREDENTIALS}) | PARKED_AT_ONCE
PIECE: Final = timedelta(seconds=90)  # refusals within it are one piece of evidence
DAY: Final = timedelta(days=1)
# Forms sent within a day that led to no stream. With the one that did, an account logs in ten times a day at most. The
# last one is kept for when the page is well again.
MOST_TRIES: Final = 9
MOST_PROBES: Final = 8
SUBMIT_WAIT_S: Final = 5.0  # a form's shortest wait between the last key and the click
LONGEST_SUBMIT_WAIT_S: Final = 30.0
KEPT_SUBMIT_WAIT_S: Final = 10.0  # after a login that passed
_SUBMIT_STEP_S: Final = 5.0
_TEXT_LIMIT: Final = 200
_TEXTS: Final = 3


def _spans(*minutes: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=one) for one in minutes)


# The pause after so many failures with one reason in a row; the last one holds for ever. The first refusal is often the
# page's race (see submit_wait_s), so the second try comes soon. The fifth, at which IB is known to lock, does not come
# within two hours.
AFTER_WRONG_CREDENTIALS: Final = _spans(0.5, 5, 30, 120, 240, 480, 720, 1440)
AFTER_UNKNOWN: Final = _spans(1, 5, 15, 30, 60, 120, 240)
# The pauses of a parked account. A lock may pass, and a mode may be changed at IB; a live account is never tried by
# itself.
WHILE_PARKED: Final[Mapping[str, Sequence[timedelta]]] = {
    Reason.WRONG_CREDENTIALS: [max(one, timedelta(hours=2)) for one in AFTER_WRONG_CREDENTIALS],
    Reason.SECOND_FACTOR: _spans(120, 240, 480, 720, 1440),
    Reason.ACCOUNT_LOCKED: (DAY,),
    Reason.WRONG_MODE: (DAY,),
    Reason.NOT_PAPER: (),
}
# Minutes after the last of so many tries within a day that led to no stream, whatever the outcome of each.
_APART: Final = {3: 1, 4: 5, 5: 15, 6: 30, 7: 60, 8: 120}  # minutes


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """The login record of one account."""

    failed: int = 0  # pieces of evidence against the account
    last_failure: str = ""
    next_login: datetime | None = None
    parked: str = ""  # a Reason
    lost_to_others: int = 0  # sessions in a row that were taken by another client
    session_open: datetime | None = None  # start of our last login, if no logout has followed
    user: str = ""  # digest of the user name that all of this is about
    user_since: datetime | None = None
    history: History = field(default_factory=History)

    @property
    def submit_wait_s(self) -> float:
        """Seconds that the form is to wait between the last key and the click."""
        return max(SUBMIT_WAIT_S, self.history.submit_wait_s)


def parse(annotations: Mapping[str, str]) -> LoginRecord:
    """Return the record in a Lease's annotations. An annotation that makes no sense counts as absent."""
    failed, lost = (annotations.get(name, "0") for name in (ANNOTATION_FAILED_LOGINS, ANNOTATION_LOST_TO_OTHERS))
    parked, history = annotations.get(ANNOTATION_PARKED, ""), parse_history(annotations.get(ANNOTATION_HISTORY, ""))
    if history.parked_since is not None and not parked:  # a person has cleared it
        history = History(submit_wait_s=history.submit_wait_s)
    return LoginRecord(
        failed=int(failed) if failed.isdecimal() else 0,
        last_failure=annotations.get(ANNOTATION_LAST_FAILURE, ""),
        next_login=_moment(annotations.get(ANNOTATION_NEXT_LOGIN, "")),
        parked=parked,
        lost_to_others=int(lost) if lost.isdecimal() else 0,
        session_open=_moment(annotations.get(ANNOTATION_SESSION_OPEN, "")),
        user=annotations.get(ANNOTATION_USER, ""),
        user_since=_moment(annotations.get(ANNOTATION_USER_SINCE, "")),
        history=history,
    )


def of_user(record: LoginRecord, user: str, now: datetime) -> LoginRecord:
    """Return the record as it counts for the user name with this digest."""
    if record.user == user:
        return record
    known = record if not record.user else LoginRecord()
    return replace(known, user=user, user_since=whole_second(now))


def submitted(record: LoginRecord, now: datetime) -> LoginRecord:
    """Return the record when a form is about to be sent. Until a session streams, that login counts as in vain."""
    recent = [one for one in record.history.tries if timedelta() <= now - one < DAY]
    return _with(record, tries=(*recent, whole_second(now))[-MOST_TRIES:])


def before_login(record: LoginRecord, *, now: datetime) -> LoginRecord:
    """Return the record while a login is under way.

    If its process dies, the next one knows whose session is still open.
    """
    return replace(record, session_open=now)


def after_logout(record: LoginRecord) -> LoginRecord:
    """Return the record once no session of ours is left at IB: we have logged out, or another client has taken it."""
    return replace(record, session_open=None)


def streamed(record: LoginRecord) -> LoginRecord:
    """Return the record once a session streams: no login that led to it was in vain."""
    return _with(record, tries=())


def after_login(record: LoginRecord) -> LoginRecord:
    """Return the record after a login that passed. It is not known yet whether that session is taken, too.

    The form's longer wait is kept in part: a wrong password, meanwhile corrected, looks the same.
    """
    wait = min(KEPT_SUBMIT_WAIT_S, record.history.submit_wait_s)
    return _begun_again(record, History(submit_wait_s=wait, tries=record.history.tries))


def with_other_credentials(record: LoginRecord) -> LoginRecord:
    """Return the record once the credentials have changed. Nothing that was held against the former ones counts."""
    return _begun_again(record, History(tries=record.history.tries))


def after_loss_to_others(record: LoginRecord, *, now: datetime, lasted: timedelta, first: timedelta) -> LoginRecord:
    """Return the record after another client took the session: stay away for ``first``, twice as long each time.

    A session that competes with the login after that is not ours.
    """
    before = record.lost_to_others if lasted < UNDISPUTED else 0
    delay = min(LONGEST_YIELD, first * 2 ** min(before, 16))
    return replace(record, next_login=now + delay, lost_to_others=before + 1, session_open=None)


def after_failure(
    record: LoginRecord, reason: Reason, text: str, *, now: datetime, most: int, excused: bool = False
) -> LoginRecord:
    """Return the record after a login that led to nothing; ``most`` pieces of evidence park the account.

    ``excused``: the failure says nothing about the account, since others have it alike, or IB is in maintenance.
    """
    before = record.history
    in_a_row = before.in_a_row + 1 if before.reason == reason else 1
    # A clock that was set back must not make everything the same piece.
    again = before.counted_at is not None and timedelta() <= now - before.counted_at < PIECE
    new_piece = reason in COUNTED and not excused and not again
    failed = record.failed + new_piece
    parks = not excused and reason in COUNTED and (reason in PARKED_AT_ONCE or failed >= most)
    parked = reason.value if parks else record.parked
    delays = _delays(reason, parked=bool(parked))
    at = now + delays[min(in_a_row, len(delays)) - 1] if delays else None
    wait = before.submit_wait_s
    if reason is Reason.WRONG_CREDENTIALS:
        wait = min(LONGEST_SUBMIT_WAIT_S, record.submit_wait_s + _SUBMIT_STEP_S)
    history = msgspec.structs.replace(
        before,
        reason=reason.value,
        in_a_row=in_a_row,
        counted_at=whole_second(now) if new_piece else before.counted_at,
        said=_said(before.said, text[:_TEXT_LIMIT], now),
        parked_since=(before.parked_since or whole_second(now)) if parked else None,
        try_again_at=whole_second(at) if parked and at is not None else None,
        submit_wait_s=wait,
    )
    return replace(
        record,
        failed=failed,
        last_failure=text[:_TEXT_LIMIT],
        next_login=None if parked else at,
        parked=parked,
        history=history,
    )


def scheduled(record: LoginRecord, now: datetime) -> LoginRecord:
    """Return a parked record with a moment for its next try. An earlier version, or a person, wrote it without one."""
    delays = WHILE_PARKED.get(record.parked, AFTER_UNKNOWN[-1:])
    history = msgspec.structs.replace(
        record.history,
        parked_since=whole_second(now),
        try_again_at=whole_second(now + delays[0]) if delays else None,
    )
    return replace(record, history=history)


def may_log_in(record: LoginRecord, now: datetime) -> datetime | None:
    """Return when the next form may be sent, if that is later than ``now``.

    A parked account waits for more than that.
    """
    tries = [one for one in record.history.tries if now - one < DAY]
    bounds = [record.next_login] if record.next_login is not None else []
    if len(tries) >= MOST_TRIES:
        bounds.append(tries[-MOST_TRIES] + DAY)
    elif len(tries) in _APART:
        bounds.append(tries[-1] + timedelta(minutes=_APART[len(tries)]))
    latest = max(bounds, default=now)
    return latest if latest > now else None


def may_probe(record: LoginRecord, now: datetime) -> bool:
    """Whether a form may be sent to see whether the page is well again."""
    return may_log_in(record, now) is None and tries_of_the_day(record, now) < MOST_PROBES


def tries_of_the_day(record: LoginRecord, now: datetime) -> int:
    return sum(now - one < DAY for one in record.history.tries)


def may_try_parked(record: LoginRecord, now: datetime) -> bool:
    """Whether a parked account is to be tried again by itself."""
    again = record.history.try_again_at
    return again is not None and again <= now


def as_annotations(record: LoginRecord) -> dict[str, str | None]:
    """Return the record as a merge-patch of annotations; None removes one."""
    lost = record.lost_to_others
    return {
        ANNOTATION_FAILED_LOGINS: str(record.failed) if record.failed else None,
        ANNOTATION_LAST_FAILURE: record.last_failure or None,
        ANNOTATION_NEXT_LOGIN: _text(record.next_login),
        ANNOTATION_PARKED: record.parked or None,
        ANNOTATION_LOST_TO_OTHERS: str(lost) if lost else None,
        ANNOTATION_SESSION_OPEN: _text(record.session_open),
        ANNOTATION_USER: record.user or None,
        ANNOTATION_USER_SINCE: _text(record.user_since),
        ANNOTATION_HISTORY: written(record.history) or None,
    }


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment is not None else None


def _begun_again(record: LoginRecord, history: History) -> LoginRecord:
    """Return the record with nothing held against the account. Its user, and the state of its sessions, stay."""
    return replace(record, failed=0, last_failure="", next_login=None, parked="", history=history)


def _delays(reason: Reason, *, parked: bool) -> Sequence[timedelta]:
    if parked:
        return WHILE_PARKED.get(reason, AFTER_UNKNOWN[-1:])
    return AFTER_WRONG_CREDENTIALS if reason is Reason.WRONG_CREDENTIALS else AFTER_UNKNOWN


def _said(before: Sequence[Said], text: str, now: datetime) -> tuple[Said, ...]:
    others = [one for one in before if one.text != text]
    return (*others, Said(at=whole_second(now), text=text))[-_TEXTS:]


def _with(record: LoginRecord, *, tries: tuple[datetime, ...]) -> LoginRecord:
    return replace(record, history=msgspec.structs.replace(record.history, tries=tries))
