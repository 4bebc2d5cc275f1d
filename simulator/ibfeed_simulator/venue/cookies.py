"""Finding the session of a request by its cookies."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec
from aiohttp import web

from ibfeed_simulator.venue.sessions import Sessions, SsoSession

# The gateway keeps only cookies with known names. This is one of them; ``x-sess-uuid`` is not.
SSO_COOKIE = "XYZAB"
USER_COOKIE = "USERID"
SERVER_COOKIE = "x-sess-uuid"
API_COOKIE = "api"


def session_of(request: web.Request, sessions: Sessions) -> SsoSession | None:
    """Return the session of a request.

    It is found by the login's cookie, or by ``api={"session":"<id from tickle>"}`` of a client without a gateway.
    """
    token = request.cookies.get(SSO_COOKIE)
    if token is not None and (session := sessions.by_token(token)) is not None:
        return session
    named = _api_session(request.headers.get("Cookie", ""))
    return sessions.by_tickle_id(named) if named is not None else None


def _api_session(header: str) -> str | None:
    """Read the cookie ``api`` from the raw header. Its value is JSON with quotes, which cookie parsers refuse."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name != API_COOKIE:
            continue
        text = unquote(value)
        if not text.startswith("{"):
            return text
        try:
            document = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return None
        session = document.get("session") if isinstance(document, dict) else None
        return session if isinstance(session, str) else None
    return None
