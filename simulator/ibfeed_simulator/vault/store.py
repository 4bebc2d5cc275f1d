"""The vault's secrets, their versions and the soft-deleted ones. Pure: no I/O, and the caller gives the time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

RECOVERABLE_DAYS: Final = 90


class UnknownSecretError(Exception):
    """There is no secret of this name, or no such version of it."""


class DeletedSecretError(Exception):
    """The name belongs to a soft-deleted secret, which must be recovered or purged first."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret. Times are seconds since 1970. ``expires`` and ``not_before`` are informative only.

    The real vault hands out the value of an expired or not yet valid version, too.
    """

    number: str  # 32 hex digits
    value: str = field(repr=False)
    created: int
    enabled: bool = True
    expires: int | None = None
    not_before: int | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and its versions, oldest first. ``deleted`` is the time of a soft deletion."""

    name: str
    versions: tuple[Version, ...]
    deleted: int | None = None

    @property
    def latest(self) -> Version:
        return self.versions[-1]


class Store:
    """The secrets by name. Names are compared without regard to case, as in a real vault."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._secrets: dict[str, Secret] = {}

    def put(
        self,
        name: str,
        value: str,
        *,
        enabled: bool = True,
        expires: int | None = None,
        not_before: int | None = None,
        content_type: str | None = None,
    ) -> tuple[Secret, Version]:
        """Add a version. Raises DeletedSecretError if the name is soft-deleted."""
        known = self._secrets.get(name.lower())
        if known is not None and known.deleted is not None:
            raise DeletedSecretError(name)
        version = Version(
            number=secrets.token_hex(16),
            value=value,
            created=int(self._clock()),
            enabled=enabled,
            expires=expires,
            not_before=not_before,
            content_type=content_type,
        )
        kept = known if known is not None else Secret(name=name, versions=())
        secret = Secret(name=kept.name, versions=(*kept.versions, version))
        self._secrets[name.lower()] = secret
        return secret, version

    def get(self, name: str, version: str = "") -> tuple[Secret, Version]:
        """Return a live secret and one of its versions, the latest if none is named. Raises UnknownSecretError."""
        secret = self._secrets.get(name.lower())
        if secret is None or secret.deleted is not None:
            raise UnknownSecretError(name)
        if not version:
            return secret, secret.latest
        for candidate in secret.versions:
            if candidate.number == version:
                return secret, candidate
        raise UnknownSecretError(f"{name}/{version}")

    def deleted(self, name: str) -> Secret:
        secret = self._secrets.get(name.lower())
        if secret is None or secret.deleted is None:
            raise UnknownSecretError(name)
        return secret

    def delete(self, name: str) -> Secret:
        secret, _ = self.get(name)
        gone = Secret(name=secret.name, versions=secret.versions, deleted=int(self._clock()))
        self._secrets[name.lower()] = gone
        return gone

    def recover(self, name: str) -> Secret:
        gone = self.deleted(name)
        secret = Secret(name=gone.name, versions=gone.versions)
        self._secrets[name.lower()] = secret
        return secret

    def purge(self, name: str) -> None:
        self.deleted(name)
        del self._secrets[name.lower()]

    def all(self) -> list[Secret]:
        """Return the live secrets by name."""
        return self._sorted(secret for secret in self._secrets.values() if secret.deleted is None)

    def all_deleted(self) -> list[Secret]:
        return self._sorted(secret for secret in self._secrets.values() if secret.deleted is not None)

    @staticmethod
    def _sorted(secrets_: Iterable[Secret]) -> list[Secret]:
        return sorted(secrets_, key=lambda secret: secret.name.lower())
