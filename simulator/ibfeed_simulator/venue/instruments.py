"""REST calls about contracts and their market data."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from aiohttp import web

from ibfeed_simulator.market import contracts, stocks
from ibfeed_simulator.market.catalogue import BY_ROOT, Product
from ibfeed_simulator.market.contracts import Contract
from ibfeed_simulator.market.exchange import trading_date
from ibfeed_simulator.market.hours import TradingSession
from ibfeed_simulator.market.stocks import Stock
from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.descriptions import definition, future, information, month_name
from ibfeed_simulator.venue.faults import Condition, number
from ibfeed_simulator.venue.frames import server_id
from ibfeed_simulator.venue.rest import PREFIXES, Handler, json_body, no_bridge, with_session
from ibfeed_simulator.venue.rules import rules
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.streamer import LIVE
from ibfeed_simulator.venue.venue import Venue

_MAX_SYMBOLS: Final = 50
_MAX_CONIDS: Final = 100
_MAX_FIELDS: Final = 50
_ANY_SATURDAY: Final = date(2000, 1, 1)  # 20000101 to 20000107 mean any Saturday to any Friday
_SCHEDULE_DAYS: Final = 7


class InstrumentHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/trsrv/futures", self.futures),
            ("GET", "/trsrv/stocks", self.stocks),
            ("GET", "/trsrv/secdef/schedule", self.schedule),
            ("GET", "/contract/trading-schedule", self.trading_schedule),
            ("GET", "/iserver/contract/{conid}/info", self.contract_info),
            ("GET", "/iserver/contract/{conid}/info-and-rules", self.info_and_rules),
            ("GET", "/iserver/secdef/search", self.search),
            ("POST", "/iserver/secdef/search", self.search),
            ("GET", "/iserver/secdef/info", self.definitions),
            ("GET", "/iserver/marketdata/snapshot", self.snapshot),
            ("POST", "/iserver/marketdata/unsubscribe", self.unsubscribe),
            ("GET", "/iserver/marketdata/unsubscribeall", self.unsubscribe_all),
        ]
        return [
            web.route(method, prefix + path, with_session(self._venue, handler))
            for prefix in PREFIXES
            for method, path, handler in table
        ]

    async def futures(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        """Answer ``/trsrv/futures``. An unknown root is left out."""
        symbols = [symbol.strip() for symbol in request.query.get("symbols", "").split(",") if symbol.strip()]
        if not symbols:
            return error("Bad Request: symbols is required", 400)
        conditions, username = self._venue.conditions, session.user.username
        if conditions.active(Condition.UNKNOWN_ROOTS, username):
            return answer({})
        fewer = conditions.active(Condition.FEWER_CONTRACTS, username)
        keep = int(number(fewer.value, 1)) if fewer is not None else None
        found = {symbol: self._venue.exchange.listed(symbol)[:keep] for symbol in symbols[:_MAX_SYMBOLS]}
        return answer({symbol: [future(contract) for contract in listed] for symbol, listed in found.items() if listed})

    async def stocks(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        """Answer ``/trsrv/stocks``. Any ticker of up to five letters is a stock somewhere."""
        symbols = [symbol.strip() for symbol in request.query.get("symbols", "").split(",") if symbol.strip()]
        return answer(
            {
                symbol: [
                    {
                        "name": listed[0].product.name,
                        "chineseName": "",
                        "assetClass": "STK",
                        "contracts": [
                            {"conid": stock.conid, "exchange": stock.product.exchange, "isUS": stock.is_american}
                            for stock in listed
                        ],
                    }
                ]
                for symbol in symbols
                if (listed := stocks.listings(symbol))
            }
        )

    async def contract_info(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        if not session.authenticated:
            return no_bridge()
        contract = _contract(request.match_info["conid"])
        return error("no contract found", 404) if contract is None else answer(self._information(contract, session))

    async def info_and_rules(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        if not session.authenticated:
            return no_bridge()
        contract = _contract(request.match_info["conid"])
        if contract is None:
            return error("no contract found", 404)
        return answer({**self._information(contract, session), "rules": rules(contract, session.user.account_id)})

    def _information(self, contract: Contract, session: SsoSession) -> dict[str, object]:
        found = information(contract)
        spoilt = self._venue.conditions.active(Condition.NO_MONTH, session.user.username)
        if spoilt is not None and spoilt.value in (None, contract.conid):
            found |= {"contract_month": None, "expiry_full": None, "local_symbol": contract.product.name}
        return found

    async def search(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        if not session.authenticated:
            return no_bridge()
        symbol = str((await json_body(request)).get("symbol") or request.query.get("symbol", ""))
        products = BY_ROOT.get(symbol)
        if products is None:
            shares = [_found_share(stock) for stock in stocks.listings(symbol)]
            return answer(shares) if shares else error(f"No symbol found for: {symbol[:12]}", 400)
        product = products[0]
        months = ";".join(dict.fromkeys(month_name(contract) for contract in self._venue.exchange.listed(symbol)))
        conid = contracts.underlying_conid(product)
        return answer(
            [
                {
                    "conid": str(conid),
                    "companyHeader": f"{product.name} - {product.exchange}",
                    "companyName": product.name,
                    "symbol": product.root,
                    "description": product.exchange,
                    "restricted": "IND",
                    "sections": [
                        {"secType": "IND", "exchange": f"{product.exchange};"},
                        {"secType": "FUT", "months": months, "exchange": f"{product.exchange};QBALGO"},
                    ],
                }
            ]
        )

    async def definitions(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        if not session.authenticated:
            return no_bridge()
        query = request.query
        product, contract = _product(query.get("conid", "")), _contract(query.get("conid", ""))
        if contract is not None and not isinstance(contract, Stock):
            return answer([definition(contract)])
        if product is None:
            return error("Bad Request: conid is required", 400)
        month = query.get("month", "").upper()
        listed = self._venue.exchange.listed(product.root)
        return answer([definition(contract) for contract in listed if not month or month_name(contract) == month])

    async def snapshot(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        if not session.authenticated:
            return no_bridge()
        if not session.accounts_asked:
            return error("Please query /accounts first", 500)
        conids = [text.strip() for text in request.query.get("conids", "").split(",") if text.strip()]
        if not conids:
            return error("Bad Request: Conid(s) missing", 400)
        fields = [text.strip() for text in request.query.get("fields", "").split(",") if text.strip()]
        if len(conids) > _MAX_CONIDS or len(fields) > _MAX_FIELDS:
            return error("Bad Request: too many conids or fields", 400)
        return answer([self._quote(session, text, frozenset(fields)) for text in conids])

    def _quote(self, session: SsoSession, text: str, fields: frozenset[str]) -> dict[str, object]:
        """Return a snapshot. The first call for a conid is a pre-flight and has no data."""
        conid = int(text) if text.isascii() and text.isdigit() else 0
        quote: dict[str, object] = {"conid": conid, "conidEx": text}
        instrument = self._venue.exchange.instrument(conid)
        if instrument is None or conid not in session.preflighted:
            session.preflighted.add(conid)
            return quote
        self._venue.exchange.refresh(instrument)
        values: dict[str, object] = dict(instrument.since(0, fields))
        if "83" in values:
            values["83"] = f"{values['83']}%"
        server = server_id(conid)
        return {**values, "6119": server, "6509": LIVE, "_updated": instrument.updated, **quote, "server_id": server}

    async def unsubscribe(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        """End the feed that a snapshot opened, as a websocket does."""
        if not session.authenticated:
            return no_bridge()
        conid = (await json_body(request)).get("conid")
        streamer = self._venue.streamer
        known = False
        if isinstance(conid, int):
            known = conid in session.preflighted
            session.preflighted.discard(conid)
            for connection in streamer.of(session.user.username):
                known = streamer.unsubscribe(connection, conid) or known
        return answer({"success": True}) if known else answer({"error": "unknown"}, 500)

    async def unsubscribe_all(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        if not session.authenticated:
            return no_bridge()
        session.preflighted.clear()
        for connection in self._venue.streamer.of(session.user.username):
            for conid in list(connection.subscriptions):
                self._venue.streamer.unsubscribe(connection, conid)
        return answer({"unsubscribed": True})

    async def schedule(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        """Answer ``/trsrv/secdef/schedule``: wall times of any Saturday to any Friday in the exchange's zone.

        Holidays are given by date.
        """
        if self._schedules_refused(session, "venue"):
            return error("schedule is not available", 500)
        products = BY_ROOT.get(request.query.get("symbol", ""))
        if products is None:
            return answer([])
        product = products[0]
        zone = ZoneInfo(product.timezone)
        # The pattern is a week without holidays. Its Saturday is 20000101.
        pattern = [date(2026, 9, 12) + timedelta(days=offset) for offset in range(7)]
        sessions = [self._venue.exchange.sessions(product.exchange, day, zone) for day in pattern]
        schedules = [_day(_ANY_SATURDAY + timedelta(days=offset), of, zone) for offset, of in enumerate(sessions)]
        today = trading_date(self._venue.clock.now())
        for offset in range(-1, _SCHEDULE_DAYS):
            day = today + timedelta(days=offset)
            found = self._venue.exchange.sessions(product.exchange, day, zone)
            usual = sessions[(day.weekday() - pattern[0].weekday()) % 7]
            if bool(found) != bool(usual):
                schedules.append(_day(day, found, zone))
        return answer(
            [
                {
                    "id": f"p{100_000 + _number_of(product.root)}",
                    "tradeVenueId": f"v{10_000 + _number_of(product.exchange)}",
                    "exchange": product.exchange,
                    "timezone": product.timezone,
                    "schedules": schedules,
                }
            ]
        )

    def _schedules_refused(self, session: SsoSession, kind: str) -> bool:
        refused = self._venue.conditions.active(Condition.NO_SCHEDULE, session.user.username)
        return refused is not None and refused.value in (None, kind)

    async def trading_schedule(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        """Answer ``/contract/trading-schedule``: the coming days, in seconds since 1970."""
        if self._schedules_refused(session, "contract"):
            return error("schedule is not available", 500)
        contract = _contract(request.query.get("conid", ""))
        if contract is None:
            return error("Bad Request: conid is required", 400)
        zone = ZoneInfo(contract.product.timezone)
        today = trading_date(self._venue.clock.now())
        schedules: dict[str, object] = {}
        for offset in range(-1, _SCHEDULE_DAYS):
            day = today + timedelta(days=offset)
            times = [
                {"opening": int(one.opening.timestamp()), "closing": int(one.closing.timestamp())}
                for one in self._venue.exchange.sessions(contract.product.exchange, day, zone)
            ]
            if times:
                extended = [{**one, "cancel_daily_orders": True} for one in times]
                schedules[f"{day:%Y%m%d}"] = {"extended_hours": extended, "liquid_hours": times}
        return answer({"exchange_time_zone": contract.product.timezone, "schedules": schedules})


def _day(day: date, sessions: Sequence[TradingSession], zone: ZoneInfo) -> dict[str, object]:
    """Return an entry of ``/trsrv/secdef/schedule``. A day without trading has the form that was recorded at IB."""
    times = [
        {
            "openingTime": f"{session.opening.astimezone(zone):%H%M}",
            "closingTime": f"{session.closing.astimezone(zone):%H%M}",
        }
        for session in sessions
    ]
    closed = {"openingTime": "0000", "closingTime": "0000", "cancelDayOrders": "N"}
    return {
        "clearingCycleEndTime": "1700" if times else "0000",
        "tradingScheduleDate": f"{day:%Y%m%d}",
        "sessions": [{**one, "prop": "LIQUID"} for one in times],
        "tradingtimes": [{**one, "cancelDayOrders": "Y"} for one in times] or [closed],
    }


def _found_share(stock: Stock) -> dict[str, object]:
    """Return an entry of ``/iserver/secdef/search``."""
    name, exchange = stock.product.name, stock.product.exchange
    return {
        "conid": str(stock.conid),
        "companyHeader": f"{name} - {exchange}",
        "companyName": name,
        "symbol": stock.symbol,
        "description": exchange,
        "restricted": None,
        "sections": [{"secType": "STK", "exchange": f"{exchange};"}],
    }


def _number_of(text: str) -> int:
    return zlib.crc32(text.encode()) % 90_000


def _contract(text: str) -> Contract | None:
    return contracts.find(int(text)) or stocks.find(int(text)) if text.isascii() and text.isdigit() else None


def _product(text: str) -> Product | None:
    return contracts.product_of_underlying(int(text)) if text.isascii() and text.isdigit() else None
