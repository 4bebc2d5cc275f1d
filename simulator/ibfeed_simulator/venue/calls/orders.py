"""Orders and trades. There are none, and no order is accepted. Each refusal has one of IB's forms."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.rest import Table, json_body, routes, with_brokerage
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.venue import Venue

NO_ORDERS: Final = "This is a simulator: it takes no order"
_MOST_SUPPRESSED: Final = 51


class OrderHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        order = "/iserver/account/{account}/order/{order}"
        table: Table = [
            ("GET", "/iserver/account/orders", self.orders),
            ("GET", "/iserver/account/trades", self.trades),
            ("GET", "/iserver/account/trades/", self.trades),
            ("GET", "/iserver/account/order/status/{order}", self.status),
            ("POST", "/iserver/account/{account}/orders", self.place),
            ("POST", "/iserver/account/{account}/orders/whatif", self.preview),
            ("POST", order, self.unknown_order),
            ("DELETE", order, self.unknown_order),
            ("POST", "/iserver/reply/{reply}", self.reply),
            ("POST", "/iserver/questions/suppress", self.suppress),
            ("POST", "/iserver/questions/suppress/reset", self.submitted),
        ]
        return routes(self._venue, with_brokerage(table))

    async def orders(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer({"orders": [], "snapshot": False})

    async def trades(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer([])

    async def status(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        return error(f"no order {request.match_info['order'][:20]}", 503)

    async def place(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        """Reject an order with status 200, as IB does."""
        return answer({"error": NO_ORDERS})

    async def preview(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        parts = ("amount", "equity", "initial", "maintenance", "position")
        return answer({**dict.fromkeys(parts), "warn": None, "error": NO_ORDERS})

    async def unknown_order(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        return answer({"error": f"OrderID {request.match_info['order'][:20]} doesn't exist"})

    async def reply(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer({"error": "no question is open under this id"})

    async def suppress(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        messages = (await json_body(request)).get("messageIds")
        if not isinstance(messages, list) or len(messages) > _MOST_SUPPRESSED:
            return error(f"messageIds must be a list of at most {_MOST_SUPPRESSED}", 500)
        return await self.submitted(request, session)

    async def submitted(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer({"status": "submitted"})
