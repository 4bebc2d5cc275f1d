"""The JSON in which Leases remember logins, beside the plain annotations. Operator and workers both read it.

An account's Lease has a ``History``. The Lease of a source's logins has a list of ``PageTrouble``. A text that makes
no sense counts as absent, because people edit annotations.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

LOGIN_SPACING_S: Final = 2.0  # between the logins of workers that are lost, or started, together

# So many accounts that fail with one reason, with no passed login between them, prove that the page is at fault.
COMMON_FROM: Final = 2


class _AnnotationStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class Said(_AnnotationStruct, frozen=True, kw_only=True):
    """A text of IB's page, and when the page last said it."""

    at: datetime
    text: str


class History(_AnnotationStruct, frozen=True, kw_only=True):
    """An account's logins so far. All times come from the workers' clocks and have a time zone.

    A history is about one user. Another user name at the same index begins a new one.
    """

    reason: str = ""  # a Reason: of the latest failure
    in_a_row: int = 0  # failures with that reason, with no login in between that passed
    counted_at: datetime | None = None  # when the latest piece of evidence against the account began
    said: tuple[Said, ...] = ()  # the latest texts that differ
    parked_since: datetime | None = None
    try_again_at: datetime | None = None  # of a parked account; None: only a person or other credentials can help
    tries: tuple[datetime, ...] = ()  # forms sent within a day that led to no stream
    submit_wait_s: float = 0.0  # between typing and sending: the wait that worked, or the next to try; 0: the default


class PageTrouble(_AnnotationStruct, frozen=True, kw_only=True):
    """Failures of the login page with one reason, since which no login of the source has passed.

    One account alone is a suspicion. ``settings`` are the login settings of the workers that met it; it does not
    concern a worker with other settings. ``ended``: a login passed, and evidence against the accounts until then is
    void.
    """

    reason: str
    text: str
    since: datetime
    accounts: dict[int, datetime]  # index -> time of its last failure
    settings: str = ""
    probes: int = 0
    next_probe: datetime | None = None  # None: none is made until a person ends the trouble
    ended: datetime | None = None

    @property
    def common(self) -> bool:
        """Whether the page itself is at fault, and still is."""
        return len(self.accounts) >= COMMON_FROM and self.ended is None


def parse_history(text: str) -> History:
    try:
        found = msgspec.json.decode(text or "{}", type=History)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return History()
    times = (found.counted_at, found.parked_since, found.try_again_at, *found.tries, *(one.at for one in found.said))
    return found if _zoned(*times) else History()


def parse_troubles(text: str) -> tuple[PageTrouble, ...]:
    try:
        found = msgspec.json.decode(text or "[]", type=tuple[PageTrouble, ...])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return ()
    return tuple(one for one in found if _zoned(one.since, one.next_probe, one.ended, *one.accounts.values()))


def written(value: History | tuple[PageTrouble, ...]) -> str:
    """Return the text of the annotation. It is empty if there is nothing to write."""
    return "" if value in (History(), ()) else msgspec.json.encode(value).decode()


def whole_second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _zoned(*times: datetime | None) -> bool:
    return all(time is None or time.tzinfo is not None for time in times)
