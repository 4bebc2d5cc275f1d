"""Market scanners. They always find the well-known shares."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from ibfeed_simulator.market import stocks
from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.calls.history import behind_bridge
from ibfeed_simulator.venue.rest import Table, json_body, routes, with_brokerage
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.venue import Venue

_COLUMN: Final = "Chg%"
_SCANS: Final = {"TOP_PERC_GAIN": "Top % Gainers", "MOST_ACTIVE": "Most Active"}
_PARAMETERS: Final[dict[str, object]] = {
    "scan_type_list": [{"display_name": name, "code": code, "instruments": ["STK"]} for code, name in _SCANS.items()],
    "instrument_list": [{"display_name": "US Stocks", "type": "STK", "filters": ["priceAbove", "priceBelow"]}],
    "filter_list": [
        {"group": "priceAbove", "display_name": "Price Above", "code": "priceAbove", "type": "non-range"},
        {"group": "priceBelow", "display_name": "Price Below", "code": "priceBelow", "type": "non-range"},
    ],
    "location_tree": [
        {
            "display_name": "US Stocks",
            "type": "STK.US",
            "locations": [{"display_name": "Listed/NASDAQ", "type": "STK.US.MAJOR", "locations": []}],
        }
    ],
}


class ScannerHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        table: Table = [
            ("GET", "/iserver/scanner/params", self.parameters),
            ("POST", "/iserver/scanner/run", self.run),
        ]
        farm: Table = [
            ("GET", "/hmds/scanner/params", behind_bridge(self.parameters)),
            ("POST", "/hmds/scanner/run", behind_bridge(self.run_at_farm)),
            ("POST", "/hmds/scanner", behind_bridge(self.run_at_farm)),
        ]
        return routes(self._venue, with_brokerage(table) + farm)

    async def parameters(self, _: web.Request, __: SsoSession) -> web.StreamResponse:
        return answer(_PARAMETERS)

    async def run(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        if (await json_body(request)).get("type") not in _SCANS:
            return error("Bad Request: unknown scan", 400)
        contracts = [
            {
                "server_id": str(place),
                **({"column_name": _COLUMN} if place == 0 else {}),
                "symbol": stock.symbol,
                "conidex": str(stock.conid),
                "con_id": stock.conid,
                "available_chart_periods": "#R|1",
                "company_name": stock.product.name,
                "contract_description_1": stock.symbol,
                "listing_exchange": stock.product.exchange,
                "sec_type": "STK",
            }
            for place, stock in enumerate(stocks.on_exchange("NASDAQ"))
        ]
        return answer({"contracts": contracts, "scan_data_column_name": _COLUMN})

    async def run_at_farm(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        if (await json_body(request)).get("scanCode") not in _SCANS:
            return error("Bad Request: unknown scan", 400)
        moment = f"{datetime.fromtimestamp(self._venue.clock.now(), UTC):%Y%m%d-%H:%M:%S}"
        found = [{"inScanTime": moment, "contractID": str(stock.conid)} for stock in stocks.on_exchange("NASDAQ")]
        size = str(len(found))
        return answer(
            {
                "total": size,
                "size": size,
                "offset": "0",
                "scanTime": moment,
                "id": "scanner1",
                "position": "",
                "Contracts": {"Contract": found},
            }
        )
