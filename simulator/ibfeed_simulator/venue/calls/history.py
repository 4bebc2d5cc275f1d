"""REST calls for past prices, from the broker and from its historical data farm, and for a regulatory quote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from ibfeed_simulator.market.exchange import Instrument
from ibfeed_simulator.venue.answers import answer, error
from ibfeed_simulator.venue.bars import SpanError, history, line, seconds
from ibfeed_simulator.venue.rest import Handler, Table, authentication, routes, with_brokerage
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.venue import Venue

# Field of a regulatory snapshot -> its form there, which differs from that of a stream.
_REGULATORY: Final[dict[str, Callable[[str], object]]] = {
    "84": float,
    "86": float,
    "88": lambda text: int(text.replace(",", "")),
    "85": lambda text: int(text.replace(",", "")),
    "31": lambda text: float(text.lstrip("CH")),
    "7059": lambda text: int(text.replace(",", "")),
    "7057": str,
    "7068": str,
    "7058": str,
}


class HistoryHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        table: Table = [
            ("GET", "/hmds/history", behind_bridge(self.farm)),
            ("POST", "/hmds/auth/init", self.open_farm),
            ("GET", "/md/regsnapshot", self.regulatory),
        ]
        return routes(self._venue, with_brokerage([("GET", "/iserver/marketdata/history", self.history)]) + table)

    def _instrument(self, request: web.Request) -> Instrument | None:
        conid = request.query.get("conid", "")
        return self._venue.exchange.instrument(int(conid)) if conid.isascii() and conid.isdigit() else None

    async def history(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        instrument = self._instrument(request)
        if instrument is None:
            return error("Bad Request: unknown conid", 400)
        try:
            return answer(history(self._venue.exchange, instrument, dict(request.query), self._venue.clock.now()))
        except SpanError as span:
            return error(f"Bad Request: {span} is no period or bar", 400)

    async def farm(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        instrument = self._instrument(request)
        if instrument is None:
            return error("Bad Request: unknown conid", 400)
        query = request.query
        try:
            period, bar = seconds(query.get("period", "")), seconds(query.get("bar", ""))
        except SpanError as span:
            return error(f"Bad Request: {span} is no period or bar", 400)
        self._venue.exchange.refresh(instrument)
        found = line(float(instrument.source.last()), period, bar, self._venue.clock.now())
        first, last = (int(found[place]["t"]) for place in (0, -1))
        return answer(
            {
                "startTime": _moment(first),
                "startTimeVal": first,
                "endTime": _moment(last),
                "endTimeVal": last,
                "data": found,
                "points": len(found) - 1,
                "mktDataDelay": 0,
            }
        )

    async def open_farm(self, _: web.Request, session: SsoSession) -> web.StreamResponse:
        session.farm_open = True
        return answer(authentication(session))

    async def regulatory(self, request: web.Request, _: SsoSession) -> web.StreamResponse:
        """Answer a regulatory snapshot. It costs nothing here."""
        instrument = self._instrument(request)
        if instrument is None:
            return error("Bad Request: unknown conid", 400)
        self._venue.exchange.refresh(instrument)
        conid, values = instrument.contract.conid, instrument.values
        return answer(
            {
                "conid": conid,
                "conidEx": str(conid),
                "BboExchange": "#0000FF",
                "HasDelayed": False,
                "BestBidExch": 1,
                "BestAskExch": 1,
                "LastExch": 1,
                **{field: form(str(values[field])) for field, form in _REGULATORY.items() if field in values},
            }
        )


def behind_bridge(handler: Handler) -> Handler:
    """Answer 404 to a session's first call to the historical data farm. It opens the way there, as IB documents."""

    async def handle(request: web.Request, session: SsoSession) -> web.StreamResponse:
        if not session.farm_open:
            session.farm_open = True
            return error("no bridge", 404)
        return await handler(request, session)

    return handle


def _moment(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y%m%d-%H:%M:%S}"
