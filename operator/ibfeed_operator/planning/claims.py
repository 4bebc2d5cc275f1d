"""Decides which of several workers, of any namespaces, may use an account. Pure.

A worker claims the account that its shard names. Two claims are for one account in two cases: they name the same index
of one vault, which is the same in every namespace, or their Leases name one user. Workers write a digest of the user
name to the Lease before they log in. For a Secret can be copied, and one user can be given twice.

Of several claims the oldest stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_LATEST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountClaim:
    """A worker's claim to an account. ``worker`` and ``lease`` are with their namespace.

    ``denied``: the worker has been told not to log in.
    """

    worker: str
    lease: str
    index: int
    vault: str = ""  # the source, if it is a vault
    user: str = ""  # digest of the user name; empty: not known yet
    since: datetime | None = None  # since when the user has been claimed
    denied: bool = False

    def is_for_the_account_of(self, other: AccountClaim) -> bool:
        in_vault = bool(self.vault) and (self.vault, self.index) == (other.vault, other.index)
        return in_vault or (bool(self.user) and self.user == other.user)

    @property
    def seniority(self) -> tuple[bool, datetime, str]:
        """The sort key: oldest claim first. A denied worker stays behind, or a restart of its rival would swap them."""
        return (self.denied, self.since or _LATEST, self.lease)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The claims that may matter to a feed.

    ``parked``: index of the feed's source to the namespace in which the same account is parked.
    """

    all: tuple[AccountClaim, ...] = ()
    parked: Mapping[int, str] | None = None

    def before(self, mine: AccountClaim) -> AccountClaim | None:
        """Return the oldest claim that ``mine`` has to give way to, if any."""
        return min(
            (one for one in self._rivals(mine) if one.seniority < mine.seniority),
            key=lambda one: one.seniority,
            default=None,
        )

    def against(self, wanted: AccountClaim) -> AccountClaim | None:
        """Return the oldest claim that keeps a worker from beginning with an account, if any."""
        return min(self._rivals(wanted), key=lambda one: one.seniority, default=None)

    def of(self, worker: str, lease: str) -> AccountClaim | None:
        return next((one for one in self.all if (one.worker, one.lease) == (worker, lease)), None)

    def parked_in(self, index: int) -> str:
        """Return the other namespace in which the account is parked; empty: none."""
        return (self.parked or {}).get(index, "")

    def _rivals(self, mine: AccountClaim) -> Iterable[AccountClaim]:
        return (one for one in self.all if one.worker != mine.worker and one.is_for_the_account_of(mine))
