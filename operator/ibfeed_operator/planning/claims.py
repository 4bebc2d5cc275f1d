"""The one of several workers, of any namespaces, that may use an account. Pure.

A worker claims the account that its shard names. Two claims are for one account if it is the same index of one vault,
which is the same in every namespace, or if their Leases tell of one user: workers write a digest of the user name there
before they log in, as a Secret can be copied and a user be given twice. Of several claims the oldest stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_LATEST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountClaim:
    """``worker`` and ``lease`` with their namespace. ``denied``: the worker has been told not to log in."""

    worker: str
    lease: str
    index: int
    vault: str = ""  # the source, if it is a vault
    user: str = ""  # digest of the user name; empty: not known yet
    since: datetime | None = None  # the user has been claimed for
    denied: bool = False

    def is_for_the_account_of(self, other: AccountClaim) -> bool:
        in_vault = bool(self.vault) and (self.vault, self.index) == (other.vault, other.index)
        return in_vault or (bool(self.user) and self.user == other.user)

    @property
    def seniority(self) -> tuple[bool, datetime, str]:
        """A worker that was denied stays behind, or a restart of the other one would turn things round."""
        return (self.denied, self.since or _LATEST, self.lease)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """``all``: every claim that may matter to a feed. ``parked``: index of its source to the namespace in which the
    same account is parked."""

    all: tuple[AccountClaim, ...] = ()
    parked: Mapping[int, str] | None = None

    def before(self, mine: AccountClaim) -> AccountClaim | None:
        """The claim that ``mine`` has to give way to."""
        return min(
            (one for one in self._rivals(mine) if one.seniority < mine.seniority),
            key=lambda one: one.seniority,
            default=None,
        )

    def against(self, wanted: AccountClaim) -> AccountClaim | None:
        """Any claim that makes an account none to begin with."""
        return min(self._rivals(wanted), key=lambda one: one.seniority, default=None)

    def of(self, worker: str, lease: str) -> AccountClaim | None:
        return next((one for one in self.all if (one.worker, one.lease) == (worker, lease)), None)

    def parked_in(self, index: int) -> str:
        """The other namespace in which the account is parked; empty: none."""
        return (self.parked or {}).get(index, "")

    def _rivals(self, mine: AccountClaim) -> Iterable[AccountClaim]:
        return (one for one in self.all if one.worker != mine.worker and one.is_for_the_account_of(mine))
