"""``/iserver/account/*``: the one account of a session. Nothing is ever traded."""

from __future__ import annotations

from aiohttp import web

from ibfeed_simulator.venue import balances
from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.calls.portfolio import unknown_account
from ibfeed_simulator.venue.rest import Table, json_body, routes, with_brokerage
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.venue import Venue


class AccountHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        table: Table = [
            ("POST", "/iserver/account", self.switch),
            ("GET", "/iserver/account/pnl/partitioned", self.profit_and_loss),
            ("GET", "/iserver/account/search/{pattern}", self.search),
            ("POST", "/iserver/dynaccount", self.choose),
            ("GET", "/iserver/account/{account}/summary", self.summary),
            ("GET", "/iserver/account/{account}/summary/{kind}", self.details),
            ("GET", "/iserver/account/{account}/alerts", self.alerts),
        ]
        owners: Table = [("GET", "/acesws/{account}/signatures-and-owners", self.owners)]
        return routes(self._venue, with_brokerage(table) + owners)

    async def switch(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        wanted = (await json_body(request)).get("acctId")
        if wanted is None:
            return error("Bad Request: acctId is required", 400)
        if wanted != session.user.account_id:
            return error("unknown account", 500)
        return answer({"success": "Account already set"})

    async def profit_and_loss(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer({"upnl": balances.profit_and_loss(session.user.account_id)})

    async def search(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        """Refuse as IB does: only brokers with many accounts may search."""
        return error("Details are unavailable: this user has no dynamic account", 503)

    async def choose(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        """Refuse as ``search`` does, in another form."""
        return web.Response(status=401)

    async def summary(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        if request.match_info["account"] != session.user.account_id:
            return unknown_account()
        return answer(balances.brokerage_summary())

    async def details(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        if request.match_info["account"] != session.user.account_id:
            return unknown_account()
        found = balances.brokerage_details(request.match_info["kind"])
        return answer(found) if found is not None else error("Not Found", 404)

    async def alerts(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer([]) if request.match_info["account"] == session.user.account_id else unknown_account()

    async def owners(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        account, name = session.user.account_id, session.user.username
        if request.match_info["account"] != account:
            return unknown_account()
        entity = {
            "firstName": "Paper",
            "lastName": "Trader",
            "entityType": "INDIVIDUAL",
            "entityName": "Paper Trader",
            "dateOfBirth": "1990-01-01",
        }
        user = {"roleId": "OWNER", "hasRightCodeInd": True, "userName": name, "entity": entity}
        return answer({"accountId": account, "users": [user], "applicant": {"signatures": ["Paper Trader"]}})
