"""``/fyi/*``: a user's subscriptions to notices, and the devices for them. No notice is ever sent."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ibfeed_simulator.venue.answers import answer
from ibfeed_simulator.venue.rest import Table, json_body, routes
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.venue import Venue

_KINDS: Final = {  # code -> name, description
    "BA": ("Borrow Availability", "Tells when shares can be borrowed"),
    "EA": ("Upcoming Earnings", "Tells of earnings to come"),
    "OE": ("Option or Future expiration", "Tells of contracts that are about to expire"),
}
_DONE: Final = {"V": 1, "T": 10}


class NoticeHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._devices: dict[str, dict[str, dict[str, object]]] = {}
        self._off: set[tuple[str, str]] = set()

    def routes(self) -> list[web.RouteDef]:
        table: Table = [
            ("GET", "/fyi/unreadnumber", self.unread),
            ("GET", "/fyi/notifications", self.none),
            ("GET", "/fyi/notifications/more", self.none),
            ("PUT", "/fyi/notifications/{notice}", self.read),
            ("GET", "/fyi/settings", self.settings),
            ("POST", "/fyi/settings/{kind}", self.switch),
            ("GET", "/fyi/disclaimer/{kind}", self.disclaimer),
            ("PUT", "/fyi/disclaimer/{kind}", self.done),
            ("GET", "/fyi/deliveryoptions", self.devices),
            ("PUT", "/fyi/deliveryoptions/email", self.done),
            ("POST", "/fyi/deliveryoptions/device", self.add_device),
            ("DELETE", "/fyi/deliveryoptions/{device}", self.delete_device),
        ]
        return routes(self._venue, table)

    def _of(self, session: SsoSession) -> dict[str, dict[str, object]]:
        return self._devices.setdefault(session.user.username, {})

    async def unread(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer({"BN": 0})

    async def none(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer([])

    async def done(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer(_DONE)

    async def read(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        return answer({**_DONE, "P": {"R": 1, "ID": request.match_info["notice"]}})

    async def settings(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer(
            [
                {"FC": code, "H": 0, "A": int((session.user.username, code) not in self._off), "FD": tells, "FN": name}
                for code, (name, tells) in _KINDS.items()
            ]
        )

    async def switch(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        """Switch a kind on or off. An unknown kind passes, too, as at IB."""
        which = (session.user.username, request.match_info["kind"])
        if (await json_body(request)).get("enabled") is False:
            self._off.add(which)
        else:
            self._off.discard(which)
        return answer(_DONE)

    async def disclaimer(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        return answer({"FC": request.match_info["kind"], "DT": "What the simulator tells is made up."})

    async def devices(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer({"E": list(self._of(session).values()), "M": 1})

    async def add_device(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        body = await json_body(request)
        key = str(body.get("deviceId", ""))
        name, shown, on = body.get("deviceName", ""), body.get("uiName", ""), body.get("enabled") is not False
        self._of(session)[key] = {"NM": name, "I": key, "UI": shown, "A": int(on)}
        return answer(_DONE)

    async def delete_device(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        """Delete a device; the answer has no body. For an unknown device it is a page, not JSON."""
        if self._of(session).pop(request.match_info["device"], None) is None:
            return web.Response(status=404, text="<html><body>Not Found</body></html>", content_type="text/html")
        return web.Response()
