"""Access tokens with their owner and resource. The vault refuses any other token."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LIFETIME_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a token: application (client) id, object id, tenant."""

    app: str
    object: str
    tenant: str

    def __str__(self) -> str:
        return f"appid={self.app};oid={self.object};iss=https://sts.windows.net/{self.tenant}/"


@dataclass(frozen=True, slots=True)
class Grant:
    caller: Caller
    resource: str  # https://…, no trailing slash
    expires: float


class Tokens:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._grants: dict[str, Grant] = {}

    def issue(self, caller: Caller, resource: str) -> str:
        """Return a fresh token for one resource. It is opaque: no client may look into a token."""
        token = secrets.token_urlsafe(48)
        self._grants[token] = Grant(caller, resource.rstrip("/"), self._clock() + LIFETIME_S)
        return token

    def grant_of(self, token: str) -> Grant | None:
        """Return the grant of a token. None: it was never issued, or has expired."""
        grant = self._grants.get(token)
        if grant is not None and grant.expires <= self._clock():
            del self._grants[token]
            return None
        return grant
