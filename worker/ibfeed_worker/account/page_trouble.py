"""Trouble of IB's login page: it fails for several accounts, and not for one after the other by themselves. Pure.

The workers of a source tell each other of failed logins in the Lease of its logins. One account that fails is that
account. Two failures of a kind within minutes, with no login in between that passed, are the page. Then all wait, and
nothing is held against an account. One worker at a time probes. The accounts that have met the trouble probe first, any
other later, for two accounts may be ill at once.

The first login that passes ends it for all. The accounts that met it and go on failing were ill by themselves; together
they count as one from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from ibfeed_api.logins import COMMON_FROM, PageTrouble, whole_second
from ibfeed_api.reasons import Reason

TOGETHER: Final = timedelta(minutes=10)  # two failures at most so far apart are of a kind
ENDED_KEPT: Final = timedelta(days=1)  # the accounts that it met and that have not logged in since
OTHERS_AFTER: Final = 2  # probes with the accounts that met it
PROBE_TAKES: Final = timedelta(minutes=4)  # a probe without a result by then died with its worker

# Reasons that the page, or the session behind it, may give for one account and for all alike.
ALIKE: Final = frozenset(
    {
        Reason.WRONG_CREDENTIALS,
        Reason.WRONG_MODE,
        Reason.ACCOUNT_LOCKED,
        Reason.SECOND_FACTOR,
        Reason.NOT_PAPER,
        Reason.LOGIN_FAILED,
        Reason.LOGIN_TIMEOUT,
        Reason.LOGIN_PAGE_CHANGED,
        Reason.LOGIN_PAGE_UNKNOWN,
    }
)


def _spans(*minutes: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=one) for one in minutes)


# The pauses between probes; the last one holds for ever. IB counts wrong passwords, and each probe of a live account
# logs its owner out.
_PROBES: Final[Mapping[str, Sequence[timedelta]]] = {
    Reason.WRONG_CREDENTIALS: _spans(5, 30, 120, 240, 480, 720, 1440),
    Reason.ACCOUNT_LOCKED: _spans(30, 60, 120, 240),
    Reason.NOT_PAPER: (),
}
_USUAL: Final = _spans(5, 5, 10, 15, 20, 30, 45)  # four accounts with eight probes a day each: one in 45 min

Troubles = tuple[PageTrouble, ...]


def noted(troubles: Troubles, reason: Reason, text: str, account: int, now: datetime, settings: str) -> Troubles:
    """Return the troubles after a failed login of ``account``, without those that are over."""
    now = whole_second(now)
    fresh = PageTrouble(reason=reason, text=text, since=now, accounts={}, settings=settings)
    known, others = fresh, list[PageTrouble]()
    for one in troubles:
        if _over(one, now):
            continue
        if one.ended is None and (one.reason, one.settings) == (reason, settings):
            known = one
        else:
            others.append(one)
    met = known.accounts if known.common else {i: at for i, at in known.accounts.items() if now - at <= TOGETHER}
    found = msgspec.structs.replace(known, text=text, accounts={**met, account: now})
    ill = {i for one in others if one.ended is not None and one.reason == reason for i in one.accounts}
    if not known.common and len(found.accounts.keys() - ill) + bool(found.accounts.keys() & ill) < COMMON_FROM:
        found = msgspec.structs.replace(found, accounts={account: now})
    before = [one for one in others if one.common and one.settings == settings]
    rest = [one for one in others if one not in before]
    if found.common:  # the page's earlier trouble is over with it
        return (*rest, _probed(found, now) if known.common else _with_next_probe(found, now))
    return (*rest, *(_probed(one, now) for one in before), found)


def passed(troubles: Troubles, account: int, now: datetime, *, sessions: bool = False) -> Troubles:
    """Return the troubles after a login of ``account`` that passed: the page is well.

    Common trouble is kept as ended for a while. ``sessions``: its session streams, so IB takes the account, too.
    """
    now = whole_second(now)
    left = []
    for one in troubles:
        if one.reason == Reason.NOT_PAPER and not sessions:
            left += [] if _over(one, now) else [one]
        elif one.common or one.ended is not None:
            accounts = {index: at for index, at in one.accounts.items() if index != account}
            found = msgspec.structs.replace(one, accounts=accounts, ended=one.ended or now, next_probe=None)
            left += [found] if accounts and not _over(found, now) else []
    return tuple(left)


def meant(troubles: Troubles, settings: str) -> PageTrouble | None:
    """Return the trouble that stops logins with these settings; None if there is none."""
    return next((one for one in troubles if one.common and one.settings == settings), None)


def of_account(troubles: Troubles, reason: Reason, account: int) -> bool:
    """Whether an account failed with the page, and not by itself."""
    return any(one.common and one.reason == reason and account in one.accounts for one in troubles)


def probe_at(trouble: PageTrouble, account: int) -> datetime | None:
    """Return when ``account`` may probe, if no other one does before; None if it is not its turn for now."""
    if trouble.next_probe is None or (account not in trouble.accounts and trouble.probes < OTHERS_AFTER):
        return None
    return trouble.next_probe


def probing(troubles: Troubles, trouble: PageTrouble, now: datetime) -> Troubles:
    """Return the troubles with a probe under way: the others wait for its result."""
    under_way = msgspec.structs.replace(trouble, next_probe=whole_second(now + PROBE_TAKES))
    return tuple(under_way if one is trouble else one for one in troubles)


def _probed(trouble: PageTrouble, now: datetime) -> PageTrouble:
    return _with_next_probe(msgspec.structs.replace(trouble, probes=trouble.probes + 1), now)


def _with_next_probe(trouble: PageTrouble, now: datetime) -> PageTrouble:
    delays = _PROBES.get(trouble.reason, _USUAL)
    at = now + delays[min(trouble.probes, len(delays) - 1)] if delays else None
    return msgspec.structs.replace(trouble, next_probe=at)


def _over(trouble: PageTrouble, now: datetime) -> bool:
    """Whether it says nothing any more: a suspicion that nothing followed, or trouble that ended a while ago."""
    if trouble.ended is not None:
        return now - trouble.ended > ENDED_KEPT
    return not trouble.common and now - max(trouble.accounts.values(), default=trouble.since) > TOGETHER
