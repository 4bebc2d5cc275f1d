"""The venue's two web applications."""

from __future__ import annotations

from aiohttp import web

from ibfeed_simulator.venue.control import ControlHandlers
from ibfeed_simulator.venue.guard import guard
from ibfeed_simulator.venue.instruments import InstrumentHandlers
from ibfeed_simulator.venue.rest import PREFIXES, SessionHandlers
from ibfeed_simulator.venue.sso import SsoHandlers
from ibfeed_simulator.venue.venue import Venue
from ibfeed_simulator.venue.websocket import WebsocketHandler


def public(venue: Venue) -> web.Application:
    """What a gateway sees."""
    app = web.Application(middlewares=[guard(venue)])
    app.add_routes(SsoHandlers(venue).routes())
    app.add_routes(SessionHandlers(venue).routes())
    app.add_routes(InstrumentHandlers(venue).routes())
    socket = WebsocketHandler(venue)
    app.add_routes([web.get(f"{prefix}/ws", socket.handle) for prefix in PREFIXES])
    return app


def control(venue: Venue) -> web.Application:
    app = web.Application()
    app.add_routes(ControlHandlers(venue).routes())
    return app
