"""Calls about contracts beside prices: definitions, conids of an exchange, rules, algorithms, currencies."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ibfeed_simulator.market import contracts, stocks
from ibfeed_simulator.market.contracts import Contract
from ibfeed_simulator.market.forms import PriceForm
from ibfeed_simulator.market.stocks import Stock
from ibfeed_simulator.venue import currencies
from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.rest import Table, json_body, routes, with_brokerage
from ibfeed_simulator.venue.rules import increments, rules
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.venue import Venue

MOST_DEFINITIONS: Final = 200
_COUNTRIES: Final = {"EUREX": "DE", "HKFE": "HK", "MEXI": "MX"}
_ALGORITHMS: Final[tuple[dict[str, object], ...]] = (
    {
        "name": "Adaptive",
        "id": "Adaptive",
        "description": "Trades at a better price if there is time for it",
        "parameters": [
            {
                "guiRank": 1,
                "defaultValue": "Normal",
                "name": "Priority",
                "id": "adaptivePriority",
                "legalStrings": ["Urgent", "Normal", "Patient"],
                "required": "true",
                "valueClassName": "String",
            }
        ],
    },
    {
        "name": "VWAP",
        "id": "Vwap",
        "description": "Aims at the average price by volume",
        "parameters": [
            {
                "guiRank": 1,
                "minValue": 0.01,
                "maxValue": 50,
                "name": "Most of the volume",
                "id": "maxPctVol",
                "valueClassName": "Double",
            }
        ],
    },
    {"name": "TWAP", "id": "Twap", "description": "Aims at the average price by time", "parameters": []},
)


def any_contract(text: object) -> Contract | None:
    """Return the future or stock of a conid, given as a number or as its digits."""
    digits = str(text)
    if not (digits.isascii() and digits.isdigit()):
        return None
    return contracts.find(int(digits)) or stocks.find(int(digits))


class ReferenceHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        table: Table = [
            ("GET", "/iserver/contract/{conid}/algos", self.algorithms),
            ("POST", "/iserver/contract/rules", self.order_rules),
            ("GET", "/iserver/secdef/strikes", self.strikes),
            ("GET", "/iserver/secdef/bond-filters", self.bond_filters),
            ("GET", "/iserver/currency/pairs", self.currency_pairs),
            ("GET", "/iserver/exchangerate", self.exchange_rate),
        ]
        open_to_all: Table = [
            ("GET", "/trsrv/secdef", self.definitions),
            ("POST", "/trsrv/secdef", self.definitions),
            ("GET", "/trsrv/all-conids", self.conids),
        ]
        return routes(self._venue, with_brokerage(table) + open_to_all)

    async def definitions(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        """Answer for ``conids`` in the query, or as a list in the body. An unknown one is left out."""
        asked = (await json_body(request)).get("conids") if request.method == "POST" else None
        wanted = asked if isinstance(asked, list) else [c for c in request.query.get("conids", "").split(",") if c]
        if not wanted:
            return error("Bad Request: Conid(s) missing", 400)
        if len(wanted) > MOST_DEFINITIONS:
            return error(f"Bad Request: more than {MOST_DEFINITIONS} conids", 400)
        found = (any_contract(text) for text in wanted)
        return answer({"secdef": [definition(contract) for contract in found if contract is not None]})

    async def conids(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        """Answer the conids of an exchange: of stocks only, as at IB."""
        exchange = request.query.get("exchange", "")
        if not exchange:
            return error("Bad Request: exchange is required", 400)
        return answer(
            [
                {"ticker": stock.symbol, "conid": stock.conid, "exchange": exchange}
                for stock in stocks.on_exchange(exchange)
            ]
        )

    async def algorithms(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        if any_contract(request.match_info["conid"]) is None:
            return error("no contract found", 503)
        query = request.query
        wanted = [name for name in query.get("algos", "").split(";") if name]
        shown = {"description": query.get("addDescription"), "parameters": query.get("addParams")}
        return answer(
            {
                "algos": [
                    {key: value for key, value in algorithm.items() if shown.get(key, "1") == "1"}
                    for algorithm in _ALGORITHMS
                    if not wanted or algorithm["id"] in wanted
                ]
            }
        )

    async def order_rules(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        contract = any_contract((await json_body(request)).get("conid"))
        if contract is None:
            return answer({"error": "No contract found"})
        return answer(rules(contract, session.user.account_id))

    async def strikes(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        """Answer without strikes, since there are no options here."""
        if not {"conid", "sectype", "month"} <= set(request.query):
            return error("Bad Request: conid, sectype and month are required", 400)
        return answer({"call": [], "put": []})

    async def bond_filters(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        """Answer as IB does for any issuer. There are no bonds here."""
        return answer({"bondFilters": []})

    async def currency_pairs(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        currency = request.query.get("currency", "")
        found = currencies.pairs(currency)
        return answer({currency: found}) if found else error("Bad Request: unknown currency", 400)

    async def exchange_rate(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        rate = currencies.rate(request.query.get("source", ""), request.query.get("target", ""))
        return answer({"rate": rate}) if rate is not None else error("Bad Request: unknown currency", 400)


def definition(contract: Contract) -> dict[str, object]:
    """Return an entry of ``/trsrv/secdef``."""
    product = contract.product
    digits = PriceForm.of(product.tick).decimals
    country = _COUNTRIES.get(product.exchange, "US")
    common: dict[str, object] = {
        "incrementRules": increments(contract),
        "displayRule": {
            "magnification": 0,
            "displayRuleStep": [{"decimalDigits": digits, "lowerEdge": 0.0, "wholeDigits": 4}],
        },
        "conid": contract.conid,
        "currency": product.currency,
        "time": 1,
        "chineseName": product.name,
        "allExchanges": product.exchange,
        "listingExchange": product.exchange,
        "countryCode": country,
        "name": product.name,
        "putOrCall": None,
        "strike": "0",
        "ticker": product.root,
        "fullName": contract.symbol,
        "isEventContract": False,
        "pageSize": 100,
    }
    if isinstance(contract, Stock):
        return {
            **common,
            "assetClass": "STK",
            "expiry": None,
            "lastTradingDay": None,
            "group": None,
            "sector": None,
            "sectorGroup": None,
            "undConid": 0,
            "multiplier": 0.0,
            "type": "COMMON",
            "hasOptions": False,
            "isUS": contract.is_american,
        }
    return {
        **common,
        "assetClass": "FUT",
        "expiry": f"{contract.last_trading_day:%Y%m%d}",
        "lastTradingDay": f"{contract.ltd:%Y%m%d}",
        "group": None,
        "sector": None,
        "sectorGroup": None,
        "undConid": contracts.underlying_conid(product),
        "multiplier": float(product.multiplier),
        "type": None,
        "hasOptions": False,
        "isUS": country == "US",
    }
