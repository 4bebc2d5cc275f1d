"""``/fa/*``: model portfolios. A paper account without clients has none.

IB does not check the names of models. For an unknown one it answers with an empty model.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.balances import CURRENCY
from ibfeed_simulator.venue.rest import Table, json_body, routes
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.venue import Venue

# Name of a preset in the call -> its name in the answer, and its first value. The names differ in the source, too.
_PRESETS: Final = {
    "avoidNegativeCashInIndependent": ("avoidNegativeCashInCore", False),
    "closeDivestIndependentPosition": ("closeDivestCorePosition", True),
    "fullyInvestExistingLongPositions": ("fullyInvestExistingLongPositions", False),
    "keepModelOpen": ("keepModelOpen", False),
    "preferCrossWithIndependent": ("preferCrossWithIndependent", False),
    "preferTransferFromIndependent": ("preferTransferFromIndependent", True),
    "roundAllocationQuantityToExchangeBoardLot": ("roundAllocExchBoardLot", False),
    "useNonBaseCcy": ("useNonBaseCcy", False),
    "useToleranceRange": ("useToleranceRange", False),
}
_LIVE: Final = {"subscriptionStatus": 1}


class AdvisorHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._presets: dict[str, dict[str, bool]] = {}

    def routes(self) -> list[web.RouteDef]:
        table: Table = [
            ("POST", "/fa/model/list", self.models),
            ("POST", "/fa/model/positions", self.positions),
            ("POST", "/fa/model/summary", self.summary),
            ("POST", "/fa/model/accounts-details", self.accounts),
            ("POST", "/fa/model/save", self.save),
            ("POST", "/fa/model/invest-divest", self.refused),
            ("POST", "/fa/model/invest-divest-positions", self.invested),
            ("POST", "/fa/model/submit-transfers", self.refused),
            ("POST", "/fa/fa-preset/get", self.presets),
            ("POST", "/fa/fa-preset/save", self.save_presets),
        ]
        return routes(self._venue, table)

    async def models(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        head = await _head(request, "reqID")
        return answer({**head, "baseCcy": CURRENCY, "masterAccount": session.user.account_id, "models": [], **_LIVE})

    async def positions(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        nothing = {"nlv": 0.0, "totalDlv": 0.0, "totalMv": 0.0, "mismatched": False, "stkOnly": True}
        head = await _head(request, "reqID", "model")
        moment = self._venue.clock.now_ms()
        return answer({**head, "cash": [], "positionList": [], "positionTs": moment, **nothing, **_LIVE})

    async def summary(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        nothing = {"bootstrapped": False, "ci": False, "desc": "", "isStatic": False, "mismatch": False}
        return answer({**await _head(request, "reqID", "model"), **nothing, "nlv": "0", "numAccounts": 0, **_LIVE})

    async def accounts(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        head = await _head(request, "reqID", "model")
        return answer({**head, "accountInfoList": [], "baseCcyMaster": CURRENCY})

    async def invested(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        head = await _head(request, "reqID", "model")
        return answer({**head, "accountList": [], "baseCcyMaster": CURRENCY, "baseCcyMasterPrc": "0.01", **_LIVE})

    async def save(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        """Accept and forget. Without ``desc`` the answer is a bare 400, as at IB."""
        body = await json_body(request)
        if "desc" not in body:
            return web.Response(status=400)
        return answer({**await _head(request, "reqID"), "success": True})

    async def refused(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        """Refuse: no money is moved here, and there is no draft of a transfer to submit."""
        return error("no transfer is pending", 500)

    async def presets(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        values = dict(_PRESETS.values()) | self._presets.get(session.user.username, {})
        return answer({**await _head(request, "reqID"), **values, "cashQtyEstimateFactor": 25, **_LIVE})

    async def save_presets(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        body = await json_body(request)
        mine = self._presets.setdefault(session.user.username, {})
        mine |= {shown: body[name] is True for name, (shown, _) in _PRESETS.items() if name in body}
        return answer({**await _head(request, "reqID"), "success": True, "error": "None", **_LIVE})


async def _head(request: web.Request, *names: str) -> dict[str, object]:
    """Return the part of an answer that repeats the request."""
    body = await json_body(request)
    return {name: body.get(name) for name in names}
