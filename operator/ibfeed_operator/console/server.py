"""The console's HTTP: the page, the sign-in, its stream, and JSON for those who show a token of the cluster."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from ibfeed_operator.console import guard
from ibfeed_operator.console.desk import Desk
from ibfeed_operator.console.page_stream import PageStream
from ibfeed_operator.console.plans import Plans
from ibfeed_operator.console.reviews import REMEMBER_S, Reviews
from ibfeed_operator.console.sign_in import SESSION_S, Reviewed, SignIns
from ibfeed_operator.kube.errors import KubeError

MOST_PAGES: Final = 20
_BODY: Final = 1 << 20  # bytes of a request, at most
_TAKE_S: Final = 10.0  # a page that takes nothing for so long is cut off


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint(NamedTuple):
    """A call that answers JSON to a signed-in user.

    Args:
        method: of HTTP.
        path: such as ``/api/plan``.
        answer: is given who asks and the body; its result is sent as JSON. It may raise ``aiohttp.web`` errors.
    """

    method: str
    path: str
    answer: Callable[[Viewer, bytes], Awaitable[object]]


class Viewer(msgspec.Struct, frozen=True):
    """A user who asks, and the namespaces whose feeds they may see."""

    user: Reviewed
    namespaces: frozenset[str]


class _Code(msgspec.Struct, frozen=True):
    code: str = ""


class Console:
    """The server's parts, put together by ``application``."""

    def __init__(self, desk: Desk, reviews: Reviews, plans: Plans, clock: Callable[[], float] = time.monotonic) -> None:
        self._desk, self._reviews, self._clock = desk, reviews, clock
        self._sign_ins: Final = SignIns(lambda: secrets.token_urlsafe(32))
        # Further calls for signed-in users go here.
        self.endpoints: Final = (
            Endpoint("GET", "/api/feeds", self._feeds),
            Endpoint("POST", "/api/plan", plans.answer),
        )

    async def _feeds(self, viewer: Viewer, _: bytes) -> object:
        return {"feeds": [feed for feed in self._desk.feeds if feed.namespace in viewer.namespaces]}

    async def open_session(self, request: web.Request) -> web.Response:
        """Exchange a token for a one-time code, or prolong the session that a code began."""
        user = await self._token_user(request)
        if user is None:
            raise web.HTTPUnauthorized(text="the cluster does not know this token: get another one\n")
        given = _decode(await request.read())
        if given.code:
            return _json({"renewed": self._sign_ins.renew(given.code, user, self._clock()), "seconds": SESSION_S})
        code = self._sign_ins.admit(user, self._clock())
        if code is None:
            raise web.HTTPServiceUnavailable(text="too many sign-ins at a time: try again in a minute\n")
        return _json({"code": code, "seconds": SESSION_S})

    async def redeem(self, request: web.Request) -> web.Response:
        """Exchange a one-time code for the cookie of a session."""
        session = self._sign_ins.redeem(_decode(await request.read()).code, self._clock())
        if session is None:
            raise web.HTTPUnauthorized(text="this link was used, or is older than a minute: run `ibfeed dashboard`\n")
        response = _json({})
        # No ``secure``: the page is on http://localhost, where not all browsers would send it.
        response.set_cookie(
            guard.COOKIE, session, path="/api", httponly=True, samesite="Strict", max_age=12 * 3600, secure=False
        )
        return response

    async def close_session(self, request: web.Request) -> web.Response:
        """Sign out."""
        self._sign_ins.end(request.cookies.get(guard.COOKIE, ""))
        response = _json({})
        response.del_cookie(guard.COOKIE, path="/api")
        return response

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send events until the page goes, or its session ends."""
        viewer = await self._viewer(request)
        if self._desk.viewers >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MOST_PAGES} pages are open: close one\n")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        with self._desk.viewer():
            try:
                await self._feed_page(request, response, viewer)
            except ConnectionError:
                pass  # the page has gone
            except TimeoutError:  # it takes nothing any more
                if request.transport is not None:
                    request.transport.abort()
        return response

    async def _feed_page(self, request: web.Request, response: web.StreamResponse, viewer: Viewer) -> None:
        page = PageStream(self._desk, viewer.user.username, viewer.namespaces)
        await response.write(b"retry: 2000\n\n" + page.beginning())
        checked, known = self._clock(), self._desk.namespaces
        while True:
            async with self._desk.looked:
                await self._desk.looked.wait()
            if self._clock() - checked >= REMEMBER_S or known != self._desk.namespaces:
                checked, known = self._clock(), self._desk.namespaces
                try:
                    namespaces = (await self._viewer(request)).namespaces
                except web.HTTPUnauthorized:
                    await response.write(b"event: over\ndata: {}\n\n")
                    return
                except web.HTTPServiceUnavailable:
                    return  # the page connects again, and is told why
                if namespaces != page.namespaces:
                    page.namespaces = namespaces
                    await response.write(page.beginning())
                    continue
            if changes := page.changes():
                await asyncio.wait_for(response.write(changes), _TAKE_S)

    async def call(self, endpoint: Endpoint, request: web.Request) -> web.Response:
        """Answer one of ``endpoints``."""
        viewer = await self._viewer(request)
        return _json(await endpoint.answer(viewer, await request.read()))

    async def _viewer(self, request: web.Request) -> Viewer:
        """Return who asks. Raises HTTPUnauthorized and HTTPServiceUnavailable."""
        user = self._sign_ins.user(request.cookies.get(guard.COOKIE, ""), self._clock())
        if user is None:
            user = await self._token_user(request)
        if user is None:
            raise web.HTTPUnauthorized(text="sign in: run `ibfeed dashboard`, or show a token of the cluster\n")
        try:
            return Viewer(user, await self._reviews.visible(user, self._desk.namespaces))
        except KubeError as error:
            raise web.HTTPServiceUnavailable(text=f"your rights cannot be checked: {error}\n") from None

    async def _token_user(self, request: web.Request) -> Reviewed | None:
        token = guard.bearer(request.headers)
        if not token:
            return None
        try:
            return await self._reviews.user(token)
        except KubeError as error:
            raise web.HTTPServiceUnavailable(text=f"the token cannot be reviewed: {error}\n") from None


def application(console: Console) -> web.Application:
    """Return the application with all its routes. ``guard`` sees each request first."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if refusal := guard.objection(request.method, request.headers):
            return web.Response(status=403, text=f"{refusal}\n", headers=guard.HEADERS)
        return await handler(request)

    async def secured(_: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(guard.HEADERS)

    app = web.Application(middlewares=[guarded], client_max_size=_BODY)
    app.on_response_prepare.append(secured)
    app.router.add_post("/api/session", console.open_session)
    app.router.add_post("/api/redeem", console.redeem)
    app.router.add_post("/api/sign-out", console.close_session)
    app.router.add_get("/api/stream", console.stream)
    for endpoint in console.endpoints:
        app.router.add_route(endpoint.method, endpoint.path, _caller(console, endpoint))
    for path, page in _files().items():
        app.router.add_get(path, _sender(page))
    return app


def _caller(console: Console, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def call(request: web.Request) -> web.Response:
        return await console.call(endpoint, request)

    return call


class _File(NamedTuple):
    body: bytes
    kind: str
    tag: str


def _files() -> Mapping[str, _File]:
    """Return the page's files by their paths, read once."""
    found = {}
    root = resources.files("ibfeed_operator.console") / "static"
    for folder, prefix in ((root, "/"), (root / "vendor", "/vendor/")):
        for file in folder.iterdir():
            if file.is_file():
                body = file.read_bytes()
                kind = mimetypes.guess_type(file.name)[0] or "text/plain"
                found[prefix + file.name] = _File(body, kind, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
    return found | {"/": found["/index.html"]}


def _sender(file: _File) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def send(request: web.Request) -> web.Response:
        headers = {"Cache-Control": "no-cache", "ETag": file.tag}
        if request.headers.get("If-None-Match") == file.tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, content_type=file.kind, charset="utf-8", headers=headers)

    return send


def _decode(body: bytes) -> _Code:
    try:
        return msgspec.json.decode(body or b"{}", type=_Code)
    except msgspec.MsgspecError:
        raise web.HTTPBadRequest(text='the body must be JSON such as {"code": "..."}\n') from None


def _json(value: object) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=headers)
