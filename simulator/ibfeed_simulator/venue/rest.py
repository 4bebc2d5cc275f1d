"""``/v1/api/*`` and its alias ``/v1/portal/*``: the calls of a session, and helpers for all calls."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.cookies import SERVER_COOKIE, session_of
from ibfeed_simulator.venue.faults import Condition
from ibfeed_simulator.venue.sessions import Challenge, SsoSession
from ibfeed_simulator.venue.sso import validation
from ibfeed_simulator.venue.venue import MAC, SERVER_NAME, SERVER_VERSION, Venue

PREFIXES = ("/v1/api", "/v1/portal")

Handler = Callable[[web.Request, SsoSession], Awaitable[web.StreamResponse]]
Table = list[tuple[str, str, Handler]]
"""Method, path below the prefix, handler."""


def no_bridge() -> web.Response:
    """Return the answer of ``/iserver`` calls without a brokerage session."""
    return error("Bad Request: no bridge", 400)


async def json_body(request: web.Request) -> dict[str, object]:
    """Return the body as an object. It is empty without a body, and for any other JSON."""
    try:
        document = msgspec.json.decode(await request.read() or b"{}")
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def authentication(session: SsoSession) -> dict[str, object]:
    """Return the answer to ``/iserver/auth/status``, which is also ``authStatus`` in ``/tickle``."""
    status: dict[str, object] = {
        "authenticated": session.authenticated,
        "competing": session.competing,
        "connected": session.connected,
        "message": "",
        "MAC": MAC,
    }
    if session.connected:
        status |= {
            "established": session.authenticated,
            "serverInfo": {"serverName": SERVER_NAME, "serverVersion": SERVER_VERSION},
            "hardware_info": f"3b0679ee|{MAC}",
            "fail": "",
        }
    return status


class SessionHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        table: Table = [
            ("POST", "/tickle", self.tickle),
            ("GET", "/tickle", self.tickle),
            ("POST", "/iserver/auth/status", self.status),
            ("GET", "/iserver/auth/status", self.status),
            ("POST", "/iserver/auth/ssodh/init", self.initialise),
            ("POST", "/iserver/auth/ssodh/response", self.respond),
            ("GET", "/ssodh/init", self.begin_exchange),
            ("GET", "/ssodh/st", self.session_token),
            ("POST", "/iserver/reauthenticate", self.reauthenticate),
            ("GET", "/iserver/reauthenticate", self.reauthenticate),
            ("GET", "/sso/validate", self.validate),
            ("GET", "/sso/ping", self.ping),
            ("POST", "/logout", self.logout),
            ("GET", "/logout", self.logout),
            ("GET", "/one/user", self.user),
            ("GET", "/portfolio/validate", self.validate),
            ("GET", "/iserver/accounts", self.accounts),
        ]
        return routes(self._venue, table)

    async def tickle(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        conditions, username = self._venue.conditions, session.user.username
        if conditions.take_fault(Condition.TICKLE_401, username):
            return web.Response(status=401)
        if conditions.take_fault(Condition.TICKLE_500, username):
            return web.Response(status=500, reason="Internal Server Error", text="Internal Server Error")
        if conditions.take_fault(Condition.TICKLE_503, username):
            return web.Response(status=503, reason="Service Unavailable", text="Service Unavailable")
        if conditions.take_fault(Condition.NO_SESSION, username):
            return answer({"error": "no session"})
        response = answer(
            {
                "session": session.tickle_id,
                "ssoExpires": session.expires_in_ms(self._venue.clock.now()),
                "collission": False,
                "userId": session.user.user_id,
                "hmds": {"error": "no bridge"},
                "iserver": {"authStatus": authentication(session)},
            }
        )
        response.set_cookie(SERVER_COOKIE, f"0.{session.act_id}", path="/v1/api", httponly=True)
        return response

    async def status(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer(authentication(session))

    async def initialise(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        """Open the brokerage session for a client. For a gateway, which names its machine, answer with a challenge."""
        body = await json_body(request)
        from_gateway = "machineId" in body
        # A call without any body passes, too.
        if body and body.get("publish") is not True and not from_gateway:
            return error("Bad Request: publish must be true", 500)
        if self._venue.conditions.take_fault(Condition.INIT_REFUSED, session.user.username):
            return error("failed to generate sso dh token", 500)
        compete = body.get("compete", True) is True
        if from_gateway:
            session.challenge = Challenge(secrets.token_hex(20), compete)
            return answer({"challenge": session.challenge.text})
        self._venue.sessions.open_brokerage(session, compete=compete)
        return self._opened(session)

    async def respond(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        """Open the brokerage session after a gateway's answer to its challenge, whatever it is."""
        challenge, session.challenge = session.challenge, None
        if challenge is None:
            return error("ssodh response error", 500)
        self._venue.sessions.open_brokerage(session, compete=challenge.compete)
        return self._opened(session)

    def _opened(self, session: SsoSession) -> web.Response:
        status = authentication(session)
        status.pop("fail", None)
        return answer(status)

    async def begin_exchange(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        """Answer the first step of a gateway's exchange after a login. ``PUBLISH_TST`` of ``sso.py`` is the third."""
        return answer({"success": True})

    async def session_token(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer({"st": secrets.token_hex(20)})

    async def reauthenticate(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        """Answer a deprecated call. A gateway answers it by itself, so this is for clients without one."""
        self._venue.sessions.open_brokerage(session, compete=True)
        return answer({"message": "triggered"})

    async def validate(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer(validation(self._venue, session, request.remote or ""))

    async def ping(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer({"alive": True})

    async def logout(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        self._venue.sessions.end(session, logout=True)
        return answer({"status": True})

    async def user(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        user = session.user
        return answer(
            {
                "wbId": "",
                "wbUserId": user.user_id,
                "username": user.username,
                "isPaper": user.paper,
                "accts": {user.account_id: {"isFAClient": False}},
                "ispaper": user.paper,
                "uar": {"portfolioAnalyst": True, "userInfo": True, "messageCenter": True},
            }
        )

    async def accounts(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        if not session.authenticated:
            return no_bridge()
        session.accounts_asked = True
        return answer(self._venue.accounts(session))


def with_session(venue: Venue, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Give the handler its session. Without one the answer is an empty 401."""

    async def handle(request: web.Request) -> web.StreamResponse:
        session = session_of(request, venue.sessions)
        if session is None:
            return web.Response(status=401)
        session.last_request = venue.clock.now()
        return await handler(request, session)

    return handle


def routes(venue: Venue, table: Table) -> list[web.RouteDef]:
    """Return the calls of a table under each prefix, for users that are logged in."""
    return [
        web.route(method, prefix + path, with_session(venue, handler))
        for prefix in PREFIXES
        for method, path, handler in table
    ]


def with_brokerage(table: Table) -> Table:
    """Return the same calls, refused without a brokerage session, as all calls below ``/iserver`` are."""
    return [(method, path, _with_brokerage(handler)) for method, path, handler in table]


def _with_brokerage(handler: Handler) -> Handler:
    async def handle(request: web.Request, session: SsoSession) -> web.StreamResponse:
        return await handler(request, session) if session.authenticated else no_bridge()

    return handle
