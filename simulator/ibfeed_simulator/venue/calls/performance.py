"""``/pa/*``: the performance of an account that has never traded."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from aiohttp import web

from ibfeed_simulator.market.exchange import trading_date
from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.balances import CASH, CURRENCY
from ibfeed_simulator.venue.rest import Table, json_body, routes
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.venue import Venue

_PERIODS: Final = {"1D": 1, "7D": 7, "MTD": 30, "1M": 30, "YTD": 365, "1Y": 365}  # about so many days
_HISTORY_DAYS: Final = 90
_DAY_MS: Final = 86_400_000


class PerformanceHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        table: Table = [
            ("POST", "/pa/performance", self.performance),
            ("POST", "/pa/allperiods", self.all_periods),
            ("POST", "/pa/transactions", self.transactions),
        ]
        return routes(self._venue, table)

    def _days(self, period: str) -> list[date]:
        today = trading_date(self._venue.clock.now())
        return [today - timedelta(days=offset) for offset in reversed(range(_PERIODS[period]))]

    async def performance(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        body = await json_body(request)
        period = str(body.get("period", "1Y"))
        if "acctIds" not in body or period not in _PERIODS:
            return error("Bad Request: acctIds and period are required", 400)
        account, days = session.user.account_id, self._days(period)
        months = list(dict.fromkeys(f"{day:%Y%m}" for day in days))
        of = {
            "id": account,
            "idType": "acctid",
            "start": _text(days[0]),
            "end": _text(days[-1]),
            "baseCurrency": CURRENCY,
        }
        start = {"date": _text(days[0] - timedelta(days=1)), "val": CASH}
        dates = [_text(day) for day in days]
        flat = [0.0] * len(days)
        return answer(
            {
                "currencyType": "base",
                "pm": "TWR",
                "nd": len(days),
                "id": "getPerformanceData",
                "included": [account],
                "cps": {"freq": "D", "dates": dates, "data": [{**of, "returns": flat}]},
                "tpps": {"freq": "M", "dates": months, "data": [{**of, "returns": [0.0] * len(months)}]},
                "nav": {
                    "freq": "D",
                    "dates": dates,
                    "data": [{**of, "startNAV": start, "navs": [CASH] * len(days)}],
                },
            }
        )

    async def all_periods(self, request: web.Request, session: SsoSession) -> web.StreamResponse:
        if "acctIds" not in await json_body(request):
            return error("Bad Request: acctIds is required", 400)
        account = session.user.account_id
        found: dict[str, object] = {}
        for period in _PERIODS:
            days = self._days(period)
            found[period] = {
                "freq": "D",
                "startNAV": {"date": _text(days[0] - timedelta(days=1)), "val": CASH},
                "dates": [_text(day) for day in days],
                "nav": [CASH] * len(days),
                "cps": [0.0] * len(days),
            }
        year = self._days("1Y")
        more = {
            "baseCurrency": CURRENCY,
            "start": _text(year[0]),
            "end": _text(year[-1]),
            "periods": list(_PERIODS),
            "lastSuccessfulUpdate": f"{year[-1]} 00:00:00",
        }
        return answer(
            {
                "pm": "TWR",
                "nd": len(year),
                "id": "getPerformanceAllPeriods",
                "currencyType": "base",
                "view": [account],
                "included": [account],
                account: {**found, **more},
            }
        )

    async def transactions(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        body = await json_body(request)
        if "acctIds" not in body or "conids" not in body:
            return error("Bad Request: acctIds and conids are required", 400)
        days = body.get("days")
        count = days if isinstance(days, int) and days > 0 else _HISTORY_DAYS
        now = self._venue.clock.now_ms()
        return answer(
            {
                "nd": count,
                "rpnl": {"data": [], "amt": "0.0"},
                "currency": str(body.get("currency", CURRENCY)),
                "from": now - count * _DAY_MS,
                "id": "getTransactions",
                "to": now,
                "transactions": [],
            }
        )


def _text(day: date) -> str:
    return f"{day:%Y%m%d}"
