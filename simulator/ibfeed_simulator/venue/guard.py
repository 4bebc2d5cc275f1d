"""Checks before every call: faults, pacing, and IB's demand for a Content-Length."""

from __future__ import annotations

import asyncio
import os

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ibfeed_simulator.venue import pages
from ibfeed_simulator.venue.cookies import session_of
from ibfeed_simulator.venue.faults import Condition, number
from ibfeed_simulator.venue.rest import PREFIXES
from ibfeed_simulator.venue.venue import EXIT_HEADER, EXIT_VALUE, Venue

GATEWAY_AGENT = "ClientPortalGW/"
_SLOW_SECONDS = 3.0
_GARBAGE_BYTES = 200
_POLL = 0.1


def guard(venue: Venue) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        session = session_of(request, venue.sessions)
        username = session.user.username if session is not None else None
        conditions = venue.conditions
        while conditions.active(Condition.HANG, username):  # noqa: ASYNC110 - it ends by time as well as by a call
            await asyncio.sleep(_POLL)
        slow = conditions.take_fault(Condition.SLOW, username)
        if slow is not None:
            await asyncio.sleep(number(slow.value, _SLOW_SECONDS))
        if conditions.take_fault(Condition.MAINTENANCE, username):
            return web.Response(status=503, text=pages.maintenance(), content_type="text/html")
        endpoint = _endpoint(request.path)
        if endpoint is not None:
            refused = _refuse(venue, request, endpoint, username)
            if refused is not None:
                return refused
        # A websocket asks for the fault itself, because its gateway reads no header after the hand-shake.
        if endpoint != "/ws" and conditions.take_fault(Condition.KILL_GATEWAY, username):
            return web.Response(status=503, headers={EXIT_HEADER: EXIT_VALUE})
        return await handler(request)

    return middleware


def _endpoint(path: str) -> str | None:
    """Return the path below the API's prefix. None: it is outside of the API."""
    found = next((path[len(prefix) :] for prefix in PREFIXES if path.startswith(f"{prefix}/")), None)
    return found.rstrip("/") if found is not None else None


def _refuse(venue: Venue, request: web.Request, endpoint: str, username: str | None) -> web.Response | None:
    agent = request.headers.get("User-Agent", "")
    through_gateway = agent.startswith(GATEWAY_AGENT)
    has_length = "Content-Length" in request.headers or "Transfer-Encoding" in request.headers
    if request.method == "POST" and not has_length and not through_gateway:
        return web.Response(status=411, text="Length Required")
    address = request.remote or ""
    if endpoint == "/ws":
        return None
    if username is None:
        return web.Response(status=429) if venue.pacing.penalised(address) else None
    if not venue.pacing.allow(username, address, endpoint, through_gateway):
        return web.Response(status=429)
    if venue.conditions.take_fault(Condition.UNAUTHORIZED, username):
        return web.Response(status=401)
    if venue.conditions.take_fault(Condition.GARBAGE_REST, username):
        return web.Response(body=os.urandom(_GARBAGE_BYTES), content_type="application/json")
    return None
