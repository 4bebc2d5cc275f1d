"""Faults on demand: a table of names with their effects. The control API sets and clears them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatch
from typing import Any, Final


class Fault(StrEnum):
    """Every fault, with the place where it acts."""

    THROTTLE = "throttle"  # vault: 429 with Retry-After (``retryAfter`` seconds, default 1)
    SERVER_ERROR = "server-error"  # vault: ``status`` (default 503)
    DENY_POLICY = "deny-policy"  # vault: 403, no access policy
    DENY_RBAC = "deny-rbac"  # vault: 403, no role assignment
    DENY_FIREWALL = "deny-firewall"  # vault: 403, address not allowed
    WRONG_ISSUER = "wrong-issuer"  # vault: 401 whatever the token, as for a token of another tenant
    WRONG_RESOURCE = "wrong-resource"  # vault: the challenge names a foreign resource
    GARBAGE = "garbage"  # vault: 200 with a page of HTML, as a captive proxy does
    DROP = "drop"  # vault: the connection is closed without an answer
    SLOW = "slow"  # vault: the answer comes after ``seconds`` (default 1)
    ENTRA_REFUSES = "entra-refuses"  # token endpoint: 401 with AADSTS``code`` (default 700213)
    ENTRA_DOWN = "entra-down"  # token endpoint: 503
    NO_IDENTITY = "no-identity"  # metadata service: 400, Identity not found
    METADATA_DOWN = "metadata-down"  # metadata service: 500


_OF_ENTRA: Final = frozenset({Fault.ENTRA_REFUSES, Fault.ENTRA_DOWN})
_OF_METADATA: Final = frozenset({Fault.NO_IDENTITY, Fault.METADATA_DOWN})


class Place(StrEnum):
    VAULT = "vault"
    ENTRA = "entra"
    METADATA = "metadata"


def place_of(fault: Fault) -> Place:
    if fault in _OF_ENTRA:
        return Place.ENTRA
    return Place.METADATA if fault in _OF_METADATA else Place.VAULT


class FaultError(Exception):
    """The control API was asked for a fault that does not exist."""


@dataclass(frozen=True, slots=True)
class ActiveVaultFault:
    """A fault that is on. ``count`` and ``until`` (seconds of the clock), where given, limit its requests and its time.

    ``secret`` limits a fault of the vault to secrets whose name matches (shell wildcards).
    """

    fault: Fault
    secret: str = "*"
    count: int | None = None
    until: float | None = None
    retry_after: int = 1
    status: int = 503
    seconds: float = 1.0
    code: int = 700213


class Faults:
    """The faults that are on. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._active: list[ActiveVaultFault] = []

    def set(self, document: dict[str, Any]) -> ActiveVaultFault:
        """Turn a fault on: ``{"fault": name, "secret"?, "count"?, "duration"?, "retryAfter"?, "status"?, …}``.

        Raises FaultError if the document names no fault.
        """
        try:
            duration = document.get("duration")
            active = ActiveVaultFault(
                fault=Fault(document["fault"]),
                secret=str(document.get("secret", "*")),
                count=None if document.get("count") is None else int(document["count"]),
                until=None if duration is None else self._clock() + float(duration),
                retry_after=int(document.get("retryAfter", 1)),
                status=int(document.get("status", 503)),
                seconds=float(document.get("seconds", 1.0)),
                code=int(document.get("code", 700213)),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            known = ", ".join(Fault)
            raise FaultError(f'{type(error).__name__}: give {{"fault": one of {known}}}') from None
        self._active.append(active)
        return active

    def clear(self) -> None:
        self._active.clear()

    @property
    def active(self) -> tuple[ActiveVaultFault, ...]:
        return tuple(self._active)

    def take_fault(self, place: Place, secret: str = "") -> ActiveVaultFault | None:
        """Return the oldest fault that acts on this request, and use up one of its count."""
        now = self._clock()
        self._active = [each for each in self._active if each.until is None or each.until > now]
        for position, each in enumerate(self._active):
            if place_of(each.fault) is not place or not fnmatch(secret, each.secret):
                continue
            if each.count is not None:
                if each.count <= 1:
                    del self._active[position]
                else:
                    self._active[position] = replace(each, count=each.count - 1)
            return each
        return None
