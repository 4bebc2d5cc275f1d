"""IB's polymorphic answers as named values. Pure. No answer of IB raises, and a new kind of one is Unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_TEXT_LIMIT: Final = 120
_LONGEST_ADDRESS: Final = 45  # characters; the longest of IPv6


@dataclass(frozen=True, slots=True)
class AuthStatus:
    """The brokerage session.

    If it is connected and not authenticated, it has gone and ``ssodh/init`` brings it back.
    """

    authenticated: bool
    connected: bool
    competing: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Alive:
    """The SSO session is known to ``/tickle``. ``session`` is the value for the websocket's cookie."""

    session: str
    status: AuthStatus
    sso_expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NoSession:
    """200 ``{"error": "no session"}``, or 401: only a login helps."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """5xx, or no answer in time: the gateway's upstream is in trouble. It says nothing about the session.

    ``upstream``: the gateway has passed an answer on, so it is the upstream that is away.
    """

    text: str
    upstream: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Throttled:
    """429: the address is in the penalty box."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An answer that no source describes."""

    text: str


@dataclass(frozen=True, slots=True)
class IbAccounts:
    """The accounts of the session."""

    ids: tuple[str, ...]
    is_paper: bool | None  # None: IB did not say


Trouble = NoSession | Unavailable | Throttled | Unknown
Tickle = Alive | Trouble


def tickle(status: int, body: bytes) -> Tickle:
    """Read the answer to POST /tickle."""
    found = _mapping(status, body)
    if not isinstance(found, Mapping):
        return found
    session = found.get("session")
    if not isinstance(session, str) or not session:
        return Unknown(f"/tickle without a session: {_short(body)}")
    inner = found.get("iserver")
    auth = inner.get("authStatus") if isinstance(inner, Mapping) else None
    expires = found.get("ssoExpires")
    return Alive(
        session=session,
        status=_auth(auth if isinstance(auth, Mapping) else {}),
        sso_expires_ms=expires if isinstance(expires, int) and not isinstance(expires, bool) else None,
    )


def auth_status(status: int, body: bytes) -> AuthStatus | Trouble:
    """Read the answer to /iserver/auth/status or /iserver/auth/ssodh/init."""
    found = _mapping(status, body)
    if not isinstance(found, Mapping):
        return found
    if "authenticated" not in found and "connected" not in found:
        return Unknown(f"no auth status: {_short(body)}")
    return _auth(found)


def accounts(status: int, body: bytes) -> IbAccounts | Trouble:
    """Read the answer to GET /iserver/accounts."""
    found = _mapping(status, body)
    if not isinstance(found, Mapping):
        return found
    ids, is_paper = found.get("accounts"), found.get("isPaper")
    if not isinstance(ids, list):
        return Unknown(f"/iserver/accounts without accounts: {_short(body)}")
    return IbAccounts(ids=tuple(str(one) for one in ids), is_paper=is_paper if isinstance(is_paper, bool) else None)


def address(status: int, body: bytes) -> str:
    """Return the caller's address in the answer to GET /sso/validate; empty if it is not there."""
    found = document(status, body)
    said = found.get("IP") if isinstance(found, Mapping) else None
    return said if isinstance(said, str) and len(said) <= _LONGEST_ADDRESS else ""


def document(status: int, body: bytes) -> Any | Trouble:
    """Read any JSON answer of a call without special forms.

    Return the decoded value, or the trouble that it tells of.
    """
    if status == 429:
        return Throttled()
    if status == 401:
        return NoSession()
    if status >= 500:
        # 502 and 504 may be our own words for a gateway that does not answer.
        return Unavailable(f"HTTP {status}: {_short(body)}", upstream=status not in (502, 504))
    try:
        found = json.loads(body)
    except ValueError:
        return Unknown(f"HTTP {status}, not JSON: {_short(body)}")
    error = found.get("error") if isinstance(found, Mapping) else None
    if error == "no session":
        return NoSession()
    if isinstance(error, str) and error:
        if "no bridge" in error:  # the brokerage session has gone, the SSO session lives
            return AuthStatus(authenticated=False, connected=True, competing=False, message=error)
        return Unknown(f"HTTP {status}: {error[:_TEXT_LIMIT]}")
    return found if status < 400 else Unknown(f"HTTP {status}: {_short(body)}")


def _mapping(status: int, body: bytes) -> Mapping[str, Any] | Trouble:
    found = document(status, body)
    if isinstance(found, Mapping | NoSession | Unavailable | Throttled | Unknown):
        return found
    if isinstance(found, AuthStatus):
        return {"authenticated": False, "connected": True, "message": found.message}
    return Unknown(f"not a JSON object: {_short(body)}")


def _auth(found: Mapping[str, Any]) -> AuthStatus:
    message = found.get("message")
    return AuthStatus(
        authenticated=found.get("authenticated") is True,
        connected=found.get("connected") is True,
        competing=found.get("competing") is True,
        message=message[:_TEXT_LIMIT] if isinstance(message, str) else "",
    )


def _short(body: bytes) -> str:
    return " ".join(body[:400].decode(errors="replace").split())[:_TEXT_LIMIT] or "empty"
