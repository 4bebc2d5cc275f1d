"""The venue's two web applications."""

from __future__ import annotations

from aiohttp import web

from ibfeed_simulator.venue.calls.accounts import AccountHandlers
from ibfeed_simulator.venue.calls.advisors import AdvisorHandlers
from ibfeed_simulator.venue.calls.history import HistoryHandlers
from ibfeed_simulator.venue.calls.notices import NoticeHandlers
from ibfeed_simulator.venue.calls.orders import OrderHandlers
from ibfeed_simulator.venue.calls.performance import PerformanceHandlers
from ibfeed_simulator.venue.calls.portfolio import PortfolioHandlers
from ibfeed_simulator.venue.calls.reference import ReferenceHandlers
from ibfeed_simulator.venue.calls.scanners import ScannerHandlers
from ibfeed_simulator.venue.calls.watchlists import WatchlistHandlers
from ibfeed_simulator.venue.control import ControlHandlers
from ibfeed_simulator.venue.guard import guard
from ibfeed_simulator.venue.instruments import InstrumentHandlers
from ibfeed_simulator.venue.rest import PREFIXES, SessionHandlers
from ibfeed_simulator.venue.sso import SsoHandlers
from ibfeed_simulator.venue.venue import Venue
from ibfeed_simulator.venue.websocket import WebsocketHandler

_CALLS = (
    SessionHandlers,
    InstrumentHandlers,
    ReferenceHandlers,
    HistoryHandlers,
    AccountHandlers,
    OrderHandlers,
    PortfolioHandlers,
    PerformanceHandlers,
    ScannerHandlers,
    WatchlistHandlers,
    NoticeHandlers,
    AdvisorHandlers,
)


def public(venue: Venue) -> web.Application:
    """Return the application that a gateway sees."""
    app = web.Application(middlewares=[guard(venue)])
    app.add_routes(SsoHandlers(venue).routes())
    for calls in _CALLS:
        app.add_routes(calls(venue).routes())
    socket = WebsocketHandler(venue)
    app.add_routes([web.get(f"{prefix}/ws", socket.handle) for prefix in PREFIXES])
    return app


def control(venue: Venue) -> web.Application:
    app = web.Application()
    app.add_routes(ControlHandlers(venue).routes())
    return app
