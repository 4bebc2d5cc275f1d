"""Request and answer between the worker and its reader process: JSON over stdin and stdout, never argv or env."""

from __future__ import annotations

from typing import Final

import msgspec

from ibfeed_api.feed import KeyVault
from ibfeed_api.reasons import Reason


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits of a read, in seconds unless said otherwise. A read ends within ``total`` whatever the vault does.

    A vault that answers at all needs under 2 s for everything. A blackholed one costs three connects of 5 s and two
    waits.
    """

    connect: float = 5.0
    read: float = 10.0
    retries: int = 2  # a count; the caller tries again after a longer back-off of its own
    backoff: float = 0.8  # doubles
    longest_wait: float = 10.0  # a longer Retry-After is reported, not slept through
    total: float = 45.0


DEFAULT_LIMITS: Final = RequestLimits()


class VaultRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one account's credentials."""

    vault: KeyVault
    index: int
    namespace: str  # the worker's, to name its identity in messages
    extra_ca: str | None = None  # file with a private CA (PEM), trusted besides the usual ones
    limits: RequestLimits = DEFAULT_LIMITS

    @property
    def username_name(self) -> str:
        return f"{self.vault.username_prefix}{self.index}"

    @property
    def password_name(self) -> str:
        return f"{self.vault.password_prefix}{self.index}"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A CredentialsError on its way between processes."""

    reason: Reason
    message: str
    retryable: bool


class VaultAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Either both values or a failure. It lives between two calls only, and its ``repr`` leaves the values out."""

    username: str | None = None
    password: str | None = None
    failure: Failure | None = None

    def __repr__(self) -> str:
        return f"VaultAnswer(failure={self.failure!r})"
