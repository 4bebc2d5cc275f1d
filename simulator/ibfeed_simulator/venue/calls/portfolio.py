"""``/portfolio/*``: the account of the session, which holds cash and nothing else."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ibfeed_simulator.venue import balances
from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.rest import Handler, Table, routes
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.venue import Venue

_PAGE: Final = 20  # accounts on a page of /portfolio/subaccounts2


def unknown_account() -> web.Response:
    return error("Bad Request: unknown account", 400)


class PortfolioHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        account: dict[str, tuple[str, Handler]] = {
            "/meta": ("GET", self.meta),
            "/summary": ("GET", self.summary),
            "/ledger": ("GET", self.ledger),
            "/allocation": ("GET", self.allocation),
            "/combo/positions": ("GET", self.nothing),
            "/positions/invalidate": ("POST", self.invalidate),
            "/positions/{page}": ("GET", self.nothing),
            "/position/{conid}": ("GET", self.nothing),
        }
        table: Table = [
            ("GET", "/portfolio/accounts", self.accounts),
            ("GET", "/portfolio/subaccounts", self.accounts),
            ("GET", "/portfolio/subaccounts2", self.pages),
            ("GET", "/portfolio/allocation", self.allocation),
            ("POST", "/portfolio/allocation", self.allocation),
            ("GET", "/portfolio/positions/{conid}", self.positions_everywhere),
            ("GET", "/portfolio2/{account}/positions", _own(self.nothing)),
            *((method, f"/portfolio/{{account}}{path}", _own(handler)) for path, (method, handler) in account.items()),
        ]
        return routes(self._venue, table)

    def _account(self, session: SsoSession) -> dict[str, object]:
        account, paper = session.user.account_id, self._venue.is_paper(session)
        return {
            "id": account,
            "PrepaidCrypto-Z": False,
            "PrepaidCrypto-P": False,
            "brokerageAccess": True,
            "accountId": account,
            "accountVan": account,
            "accountTitle": "",
            "displayName": account,
            "accountAlias": None,
            "accountStatus": 1_644_382_800_000,
            "currency": balances.CURRENCY,
            "type": "DEMO" if paper else "INDIVIDUAL",
            "tradingType": "PMRGN",
            "businessType": "INDEPENDENT",
            "category": "",
            "ibEntity": "IBLLC-US",
            "faclient": False,
            "clearingStatus": "O",
            "covestor": False,
            "noClientTrading": False,
            "trackVirtualFXPortfolio": True,
            "acctCustType": "INDIVIDUAL",
            "parent": {"mmc": [], "accountId": "", "isMParent": False, "isMChild": False, "isMultiplex": False},
            "desc": account,
        }

    async def accounts(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer([self._account(session)])

    async def pages(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        page = request.query.get("page", "0")
        metadata = {"total": 1, "pageSize": _PAGE, "pageNum": int(page) if page.isascii() and page.isdigit() else 0}
        return answer({"metadata": metadata, "subaccounts": [] if metadata["pageNum"] else [self._account(session)]})

    async def meta(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer(self._account(session))

    async def summary(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer(balances.summary(session.user.account_id, self._venue.clock.now()))

    async def ledger(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer(balances.ledger(session.user.account_id, self._venue.clock.now()))

    async def allocation(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        nothing: dict[str, object] = {"long": {}, "short": {}}
        cash = {"long": {"CASH": balances.CASH}, "short": {}}
        return answer({"assetClass": cash, "sector": nothing, "group": nothing})

    async def invalidate(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer({"message": "success"})

    async def nothing(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer([])

    async def positions_everywhere(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        return answer({session.user.account_id: []})


def _own(handler: Handler) -> Handler:
    """Let a call pass only for the session's own account."""

    async def handle(request: web.Request, session: SsoSession) -> web.StreamResponse:
        if request.match_info["account"] != session.user.account_id:
            return unknown_account()
        return await handler(request, session)

    return handle
