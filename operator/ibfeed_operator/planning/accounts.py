"""Chooses the paper account of each worker. Pure.

A worker keeps its account over restarts. A new worker gets the lowest index that is free. An account is free if

- it is not parked and was not just refused;
- it is not given to another worker of any feed on the same source;
- its Lease is not held by another worker;
- no other worker uses its user.

A worker whose account is no longer free gets another one, or waits with its account if there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ibfeed_api.labels import (
    ANNOTATION_FAILED_LOGINS,
    ANNOTATION_HISTORY,
    ANNOTATION_LAST_FAILURE,
    ANNOTATION_NEXT_LOGIN,
    ANNOTATION_PARKED,
)
from ibfeed_api.lease import pod_of
from ibfeed_api.logins import COMMON_FROM, PageTrouble, written
from ibfeed_operator.model.types import AccountLease
from ibfeed_operator.planning.claims import AccountClaim, Claims

# A refused account whose next try is further away than this is exchanged for a better one, if there is any.
WORTH_WAITING: Final = timedelta(minutes=1)
_FAILURE_ANNOTATIONS: Final = (
    ANNOTATION_PARKED,
    ANNOTATION_FAILED_LOGINS,
    ANNOTATION_LAST_FAILURE,
    ANNOTATION_NEXT_LOGIN,
)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_CLOCK_SKEW: Final = timedelta(minutes=1)  # by which the clocks of two workers may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The account chosen for a worker. ``index`` is None when no account is left.

    ``parked``: the index that the worker had to give up because it is parked or refused, if any. ``used_by``: the
    worker that uses the account's user, so that this one must wait.
    """

    index: int | None
    parked: int | None = None
    used_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The conditions of a choice, besides the Leases of the source in its namespace."""

    namespace: str = ""
    vault: str = ""  # the source, if it is a vault
    claims: Claims = field(default_factory=Claims)
    now: datetime = _LONG_AGO


def choose(
    workers: Mapping[str, int | None],
    indices: range,
    leases: Iterable[AccountLease],
    elsewhere: Iterable[int] = (),
    rules: Rules | None = None,
) -> dict[str, Choice]:
    """Choose an index of ``indices`` for each of ``workers`` (pod name to its present index).

    ``elsewhere``: indices that other feeds' workers have on this source in this namespace. Earlier entries of
    ``workers`` choose first, but no worker takes what another one keeps.
    """
    pool = _AccountPool({lease.index: lease for lease in leases}, rules or Rules())
    taken = set(elsewhere)
    choices: dict[str, Choice] = {}
    wanting: list[str] = []
    for name, index in workers.items():
        if index is not None and index in indices and index not in taken and pool.keeps(name, index):
            taken.add(index)
            choices[name] = Choice(index=index)
        else:
            wanting.append(name)
    for name in wanting:
        present = workers[name]
        parked = present if present is not None and pool.is_refused(present) else None
        free = next((i for i in indices if i not in taken and pool.offers(name, i)), None)
        if free is None:
            # There is no better account. It waits until its own is released, is due again, or has another user.
            order = [*(i for i in indices if i == present), *(i for i in indices if i != present)]
            again = next((i for i in order if i not in taken and pool.is_worth_waiting_for(name, i, present)), None)
            choice = Choice(index=again, used_by=pool.used_by(name, again) if again is not None else "")
        else:
            choice = Choice(index=free, parked=parked)
        if choice.index is not None:
            taken.add(choice.index)
        choices[name] = choice
    return {name: choices[name] for name in workers}


def wrongly_parked(leases: Iterable[AccountLease]) -> list[AccountLease]:
    """Return the accounts that were parked for a failure of the login page, before it was known to meet several."""
    known = list(leases)
    troubles = [trouble for lease in known for trouble in lease.troubles if len(trouble.accounts) >= COMMON_FROM]
    return [
        lease
        for lease in known
        if lease.parked and any(_is_meant(trouble, lease) for trouble in troubles if trouble.reason == lease.parked)
    ]


def taken_back(lease: AccountLease) -> dict[str, str | None]:
    """Return the annotations for a Lease that was wrongly parked. The tries of the account stay on record."""
    history = msgspec.structs.replace(lease.history, parked_since=None, try_again_at=None)
    return {**dict.fromkeys(_FAILURE_ANNOTATIONS), ANNOTATION_HISTORY: written(history) or None}


def _is_meant(trouble: PageTrouble, lease: AccountLease) -> bool:
    since = lease.history.parked_since
    if lease.index not in trouble.accounts or since is None or since < trouble.since - _CLOCK_SKEW:
        return False
    return trouble.ended is None or since <= trouble.ended


@dataclass(frozen=True, slots=True)
class _AccountPool:
    """The accounts of one source, with the rules by which a worker may have them."""

    leases: Mapping[int, AccountLease]
    rules: Rules

    def keeps(self, name: str, index: int) -> bool:
        """Whether a worker keeps its present account."""
        return self._is_free(name, index) and not self.is_refused(index) and not self.used_by(name, index)

    def offers(self, name: str, index: int) -> bool:
        """Whether a worker that needs an account may have this one."""
        if not self._is_free(name, index) or self.is_refused(index) or self.rules.claims.parked_in(index):
            return False
        return self.rules.claims.against(self._claim(name, index)) is None

    def is_worth_waiting_for(self, name: str, index: int, present: int | None) -> bool:
        """Whether a worker may wait with this account, since the obstacle may pass or the user may change."""
        rival = self._rival(name, index)
        if rival is not None and rival.vault and (rival.vault, rival.index) == (self.rules.vault, index):
            return False
        return index == present or (self._is_free(name, index) and not self.rules.claims.parked_in(index))

    def is_refused(self, index: int) -> bool:
        """Whether an account is parked or refused, and is not due for another try soon."""
        lease = self.leases.get(index)
        if lease is None:
            return False
        if lease.parked:
            again = lease.history.try_again_at
            return again is None or again > self.rules.now
        return bool(lease.failed) and lease.next_login is not None and lease.next_login - self.rules.now > WORTH_WAITING

    def used_by(self, name: str, index: int) -> str:
        """Return the worker that uses the account's user by an older claim; empty: none."""
        rival = self._rival(name, index)
        return rival.worker if rival is not None else ""

    def _rival(self, name: str, index: int) -> AccountClaim | None:
        mine = self.rules.claims.of(self._worker(name), self._lease(index))
        if mine is None:
            return self.rules.claims.against(self._claim(name, index))
        return self.rules.claims.before(mine)

    def _is_free(self, pod: str, index: int) -> bool:
        lease = self.leases.get(index)
        if lease is None or not lease.holder or pod_of(lease.holder) == pod:
            return True
        return lease.expired

    def _claim(self, name: str, index: int) -> AccountClaim:
        lease = self.leases.get(index)
        user = lease.user if lease is not None else ""
        return AccountClaim(
            worker=self._worker(name), lease=self._lease(index), index=index, vault=self.rules.vault, user=user
        )

    def _worker(self, name: str) -> str:
        return f"{self.rules.namespace}/{name}"

    def _lease(self, index: int) -> str:
        lease = self.leases.get(index)
        return f"{self.rules.namespace}/{lease.name}" if lease is not None else ""
