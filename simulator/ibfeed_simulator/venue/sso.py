"""``/sso/*``: the login page, the Dispatcher that takes the form, and what the gateway asks about a login."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from aiohttp import web

from ibfeed_simulator.venue import pages
from ibfeed_simulator.venue.answers import answer
from ibfeed_simulator.venue.cookies import SSO_COOKIE, USER_COOKIE, session_of
from ibfeed_simulator.venue.faults import Condition, number
from ibfeed_simulator.venue.pages import LoginPage, Version
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.users import User
from ibfeed_simulator.venue.venue import Venue

_PAGE_SLOW_SECONDS = 20.0


# Pages after a right password, in this order.
_BETWEEN: Final[tuple[tuple[Condition, Callable[[str], str]], ...]] = (
    (Condition.IBKEY_PROMO, pages.ibkey_promo),
    (Condition.NOTICE, pages.notice),
    (Condition.AGREEMENT, pages.agreement),
)


class SsoHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._waiting: dict[str, User] = {}  # logins behind a page, by the page's token

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sso/Login", self.login),
            web.post("/sso/Dispatcher", self.dispatch),
            web.get("/sso/Dispatcher", self.login),
            web.post("/sso/Authenticator", self.second_factor),
            web.post("/sso/AuthenticateST", self.refused),
            web.get("/sso/ping", self.ping),
            web.post("/sso/ping", self.ping),
            web.get("/sso/validate", self.validate),
            web.get("/sso/Logout", self.logout),
        ]

    async def login(self, _: web.Request) -> web.StreamResponse:
        slow = self._venue.conditions.take_fault(Condition.PAGE_SLOW, None)
        if slow is not None:
            await asyncio.sleep(number(slow.value, _PAGE_SLOW_SECONDS))
        return self._page()

    def _page(self, error: str = "") -> web.Response:
        conditions = self._venue.conditions
        changed = conditions.active(Condition.PAGE_CHANGED, None) is not None
        banner = conditions.active(Condition.BANNER, None) is not None
        return _html(LoginPage(self._version(), error, changed, banner).html())

    def _version(self) -> Version:
        conditions = self._venue.conditions
        if conditions.active(Condition.PAGE_VERSION_1, None):
            return 1
        return 2 if conditions.active(Condition.PAGE_VERSION_2, None) else self._venue.settings.page_version

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        """Answer the form: 302 with cookies for a login that passed, else a page with 200.

        Only the 302 counts for the gateway.
        """
        venue = self._venue
        form = await request.post()
        waiting = self._waiting.pop(str(form.get(pages.CONTINUE, "")), None)
        if waiting is not None:
            return self._lead_on(waiting)
        username = str(form.get("username") or form.get("user_name") or form.get("login_id") or "")
        password = str(form.get("password") or form.get("login_secret") or "")
        conditions = venue.conditions
        user = venue.settings.users.get(username)
        record = venue.sessions.record(username) if user is not None else None
        if record is not None and (record.locked or conditions.take_fault(Condition.LOCKED, username)):
            return self._page(pages.LOCKED)
        if user is None or record is None:
            return self._page(pages.WRONG_CREDENTIALS)
        if refused := conditions.take_fault(Condition.REFUSED, username):
            return self._page(str(refused.value or pages.REFUSED))
        too_soon = _typed_ago(str(form.get(pages.TYPED, ""))) < venue.settings.typing_seconds
        if too_soon or not user.accepts(password) or conditions.take_fault(Condition.WRONG_PASSWORD, username):
            record.failed_logins += 1
            record.total_failed_logins += 1
            record.locked = record.failed_logins >= venue.settings.lock_after
            return self._page(pages.LOCKED if record.locked else pages.WRONG_CREDENTIALS)
        if user.paper and "paperSwitch" not in form and conditions.take_fault(Condition.WRONG_MODE, username):
            return self._page(pages.WRONG_MODE)
        if conditions.take_fault(Condition.SECOND_FACTOR, username):
            return _html(pages.second_factor())
        return self._lead_on(user)

    def _lead_on(self, user: User) -> web.Response:
        """Answer with the next page between the user and the login, or with the login."""
        for condition, page in _BETWEEN:
            if self._venue.conditions.take_fault(condition, user.username):
                token = secrets.token_hex(8)
                self._waiting[token] = user
                return _html(page(token))
        return _redirect(self._venue.sessions.log_in(user, self._venue.clock.now()))

    async def second_factor(self, request: web.Request) -> web.StreamResponse:
        """Refuse every code, because no person owns the device. A gateway publishes its token here, too."""
        if request.query.get("ACTION") != "PUBLISH_TST":
            return _html(pages.second_factor())
        known = session_of(request, self._venue.sessions) is not None
        return answer({"success": True}) if known else web.Response(status=401)

    async def refused(self, _: web.Request) -> web.StreamResponse:
        return answer({"error": "not supported"}, 400)

    async def ping(self, request: web.Request) -> web.StreamResponse:
        session = session_of(request, self._venue.sessions)
        return answer({"alive": session is not None}, 200 if session is not None else 401)

    async def logout(self, request: web.Request) -> web.StreamResponse:
        session = session_of(request, self._venue.sessions)
        if session is not None:
            self._venue.sessions.end(session, logout=True)
        return self._page()

    async def validate(self, request: web.Request) -> web.StreamResponse:
        session = session_of(request, self._venue.sessions)
        if session is None:
            return web.Response(status=401)
        return answer(validation(self._venue, session, request.remote or ""))


def validation(venue: Venue, session: SsoSession, address: str) -> dict[str, object]:
    """Return the answer to ``/sso/validate``."""
    user = session.user
    return {
        "USER_ID": user.user_id,
        "USER_NAME": user.username,
        "RESULT": True,
        "AUTH_TIME": int(session.created * 1000),
        "SF_ENABLED": False,
        "IS_FREE_TRIAL": False,
        "CREDENTIAL": user.username,
        "IP": address,
        "EXPIRES": session.expires_in_ms(venue.clock.now()),
        "QUALIFIED_FOR_MOBILE_AUTH": None,
        "LANDING_APP": "UNIVERSAL",
        "IS_MASTER": False,
        "lastAccessed": int(session.last_request * 1000),
        "LOGIN_TYPE": 2 if user.paper else 1,
        "PAPER_USER_NAME": user.username if user.paper else "",
        "features": {
            "env": "PROD",
            "wlms": True,
            "realtime": True,
            "bond": True,
            "optionChains": True,
            "calendar": True,
            "newMf": True,
        },
        "region": "NJ",
    }


def _typed_ago(text: str) -> float:
    """Return the seconds since the last key. A form that the page did not send tells none, and has not to wait."""
    return int(text) / 1000 if text.isascii() and text.isdigit() else float("inf")


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")


def _redirect(session: SsoSession) -> web.Response:
    response = web.Response(status=302, headers={"Location": "/sso/Dispatcher?forwardTo=22"})
    response.set_cookie(SSO_COOKIE, session.token, path="/", secure=True, httponly=True)
    response.set_cookie(USER_COOKIE, str(session.user.user_id), path="/", secure=True)
    response.set_cookie("XYZAB_AM.LOGIN", secrets.token_hex(20), path="/", secure=True, httponly=True)
    response.set_cookie("SBID", secrets.token_hex(10), path="/", secure=True)
    return response
