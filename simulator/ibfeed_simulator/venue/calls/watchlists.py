"""``/iserver/watchlist``: lists of contracts, kept for each user as long as the venue runs."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from ibfeed_simulator.market.stocks import Stock
from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.calls.reference import any_contract
from ibfeed_simulator.venue.rest import Table, json_body, routes, with_brokerage
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.venue import Venue


@dataclass(frozen=True)
class Watchlist:
    name: str
    modified_ms: int
    rows: tuple[dict[str, object], ...]  # ``{"C": conid}``, or ``{"H": text}`` between contracts


class WatchlistHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._lists: dict[str, dict[str, Watchlist]] = {}

    def routes(self) -> list[web.RouteDef]:
        table: Table = [
            ("GET", "/iserver/watchlists", self.all),
            ("GET", "/iserver/watchlist", self.one),
            ("POST", "/iserver/watchlist", self.create),
            ("DELETE", "/iserver/watchlist", self.delete),
        ]
        return routes(self._venue, with_brokerage(table))

    def _of(self, session: SsoSession) -> dict[str, Watchlist]:
        return self._lists.setdefault(session.user.username, {})

    async def all(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        lists = [
            {
                "is_open": False,
                "read_only": False,
                "name": found.name,
                "modified": found.modified_ms,
                "id": key,
                "type": "watchlist",
            }
            for key, found in self._of(session).items()
        ]
        data = {"scanners_only": False, "show_scanners": False, "bulk_delete": False, "user_lists": lists}
        return answer({"data": data, "action": "content", "MID": "1"})

    async def one(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        key = request.query.get("id", "")
        found = self._of(session).get(key)
        if found is None:
            return error("Bad Request: unknown watchlist", 400)
        return answer(_document(key, found, [entry for row in found.rows if (entry := _instrument(row))]))

    async def create(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        """Store a list. One with the same id is replaced without a warning, and rows are not checked."""
        body = await json_body(request)
        key, name, rows = str(body.get("id", "")), body.get("name"), body.get("rows", [])
        if not (key.isascii() and key.isdigit()) or not isinstance(name, str) or not isinstance(rows, list):
            return error("Bad Request: id must be a number, name a text, rows a list", 400)
        made = Watchlist(name, self._venue.clock.now_ms(), tuple(row for row in rows if isinstance(row, dict)))
        self._of(session)[key] = made
        return answer(_document(key, made, []))

    async def delete(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        """Delete the list of ``id`` in the query or, from some clients, in the body. An unknown one passes, too."""
        key = str(request.query.get("id") or (await json_body(request)).get("id", ""))
        self._of(session).pop(key, None)
        return answer({"data": {"deleted": key}, "action": "context", "MID": "2"})


def _document(key: str, found: Watchlist, instruments: list[dict[str, object]]) -> dict[str, object]:
    return {
        "id": key,
        "hash": str(found.modified_ms),
        "name": found.name,
        "readOnly": False,
        "instruments": instruments,
    }


def _instrument(row: dict[str, object]) -> dict[str, object] | None:
    if "C" not in row:
        return row
    contract = any_contract(row["C"])
    if contract is None:
        return None
    kind = "STK" if isinstance(contract, Stock) else "FUT"
    return {
        "ST": kind,
        "C": str(contract.conid),
        "conid": contract.conid,
        "name": contract.product.name,
        "fullName": contract.symbol,
        "assetClass": kind,
        "ticker": contract.product.root,
        "chineseName": contract.product.name,
    }
