"""The paper accounts of a feed, as their Leases tell of them. No I/O.

``docs/architecture/failed-logins.md`` has the rules. People edit annotations of Leases. One that makes
no sense counts as absent.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ibfeed.cluster import labels
from ibfeed.cluster.objects import Feed, Lease, Shard
from ibfeed.cluster.times import moment

# A worker and the operator take a Lease without these for one of which nothing bad is known. The forms sent within a
# day stay in the history, since IB counts them, too.
RESET: Final[Mapping[str, None]] = dict.fromkeys(
    (labels.PARKED, labels.FAILED_LOGINS, labels.LAST_FAILURE, labels.NEXT_LOGIN, labels.LOST_TO_OTHERS)
)
RESET_PAGE: Final[Mapping[str, None]] = {labels.PAGE_TROUBLE: None}


class AccountState(enum.StrEnum):
    """Where an account stands."""

    IN_USE = "in use"
    FREE = "free"
    REFUSED = "refused"  # logins failed; it is tried again at ``next_try``
    YIELDING = "yielding"  # somebody else took its session; its worker stays away until ``next_try``
    PARKED = "parked"  # there is evidence against it; it is not tried for hours, or never


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account of a source.

    Args:
        worker: that holds its Lease, or else is to use it.
        reason: why it is parked.
        failed: pieces of evidence against it, in a row.
        said: the latest texts of IB's page.
        next_try: when it is tried again, if a worker needs it.
    """

    index: int
    state: AccountState
    worker: str = ""
    reason: str = ""
    failed: int = 0
    said: tuple[str, ...] = ()
    since: dt.datetime | None = None
    next_try: dt.datetime | None = None
    lease: str = ""

    @property
    def bad(self) -> bool:
        return self.state in (AccountState.PARKED, AccountState.REFUSED, AccountState.YIELDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalty:
    """An address that IB has answered with 429. Its workers ask nothing until then, and stream on."""

    address: str
    until: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTrouble:
    """A failure of the login page that meets several accounts alike, so that no account is at fault."""

    reason: str
    text: str
    accounts: tuple[int, ...]
    since: dt.datetime | None = None
    next_try: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """The accounts of one feed. ``logins_lease``: the Lease by which its source's workers take turns to log in."""

    feed: str
    source: str
    accounts: tuple[Account, ...] = ()
    penalties: tuple[Penalty, ...] = ()
    page_troubles: tuple[PageTrouble, ...] = ()
    logins_lease: str = ""

    def find(self, index: int) -> Account | None:
        return next((one for one in self.accounts if one.index == index), None)

    @property
    def bad(self) -> bool:
        return bool(self.page_troubles) or any(one.bad for one in self.accounts)


def accounts_of(feed: Feed, shards: Iterable[Shard], leases: Iterable[Lease], now: dt.datetime) -> Accounts:
    """Return a feed's accounts, by index. An account without a Lease has never been used."""
    shards = tuple(shards)
    given = {shard.spec.account.index: shard.name for shard in shards if shard.spec.account is not None}
    source = _source(feed, shards)
    mine = [lease for lease in leases if lease.metadata.labels.get(labels.SOURCE) == source]
    by_index = {lease.index: lease for lease in mine if lease.index is not None}
    logins = next((lease for lease in mine if lease.index is None), None)
    notes = logins.metadata.annotations if logins is not None else {}
    return Accounts(
        feed=feed.name,
        source=source,
        accounts=tuple(
            _account(index, by_index.get(index), given.get(index, ""), now)
            for index in sorted({*feed.spec.accounts.indices, *given})
        ),
        penalties=tuple(_penalties(notes, now)),
        page_troubles=tuple(_page_troubles(notes)),
        logins_lease=logins.metadata.name if logins is not None else "",
    )


def _source(feed: Feed, shards: Iterable[Shard]) -> str:
    """The source's name. The operator made it from the spec, and told the workers."""
    told = next((shard.spec.account.source for shard in shards if shard.spec.account is not None), "")
    secret = feed.spec.accounts.secret_ref
    return told or (secret.name if secret is not None else "")


def _account(index: int, lease: Lease | None, worker: str, now: dt.datetime) -> Account:
    if lease is None:
        return Account(index=index, state=AccountState.FREE, worker=worker)
    notes, history = lease.metadata.annotations, _object(lease.metadata.annotations.get(labels.HISTORY))
    parked, failed, lost = (
        notes.get(labels.PARKED, ""),
        _count(notes.get(labels.FAILED_LOGINS)),
        _count(notes.get(labels.LOST_TO_OTHERS)),
    )
    next_login = moment(notes.get(labels.NEXT_LOGIN))
    waits = next_login is not None and next_login > now
    if parked:
        state = AccountState.PARKED
    elif lost and waits:
        state = AccountState.YIELDING
    elif failed and waits:
        state = AccountState.REFUSED
    else:
        state = AccountState.IN_USE if lease.holder else AccountState.FREE
    said = tuple(str(one.get("text", "")) for one in history.get("said", ()) if isinstance(one, dict))
    last = notes.get(labels.LAST_FAILURE, "")
    return Account(
        index=index,
        state=state,
        worker=lease.holder or worker,
        reason=parked,
        failed=failed,
        said=said or ((last,) if last and failed else ()),
        since=moment(history.get("parkedSince")) if parked else None,
        next_try=moment(history.get("tryAgainAt")) if parked else next_login if waits else None,
        lease=lease.metadata.name,
    )


def _penalties(notes: Mapping[str, str], now: dt.datetime) -> Iterable[Penalty]:
    for address, until in sorted(_object(notes.get(labels.PENALTIES)).items()):
        end = moment(until) if isinstance(until, str) else None
        if end is not None and end > now:
            yield Penalty(address=address, until=end)


def _page_troubles(notes: Mapping[str, str]) -> Iterable[PageTrouble]:
    """One account alone is a suspicion, and a login that passed has ended the trouble."""
    for one in _list(notes.get(labels.PAGE_TROUBLE)):
        accounts = one.get("accounts")
        if not isinstance(accounts, dict) or len(accounts) < 2 or one.get("ended"):
            continue
        yield PageTrouble(
            reason=str(one.get("reason", "")),
            text=str(one.get("text", "")),
            accounts=tuple(sorted(int(index) for index in accounts if str(index).isdigit())),
            since=moment(one.get("since")),
            next_try=moment(one.get("nextProbe")),
        )


def _object(text: str | None) -> dict[str, Any]:
    found = _json(text)
    return found if isinstance(found, dict) else {}


def _list(text: str | None) -> list[dict[str, Any]]:
    found = _json(text)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _json(text: str | None) -> object:
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
