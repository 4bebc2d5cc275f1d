from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from ibfeed_simulator.venue import app
from ibfeed_simulator.venue.settings import Settings
from ibfeed_simulator.venue.venue import Venue
from support.inprocess_venue import FAST, USERS, Stand, Start


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Call it with settings to get a running venue."""
    async with AsyncExitStack() as stack:

        async def begin(**settings: Any) -> Stand:
            venue = Venue(Settings(**{"users": USERS, "interval": FAST, "replay": False, **settings}))
            client = TestClient(TestServer(app.public(venue)), cookie_jar=aiohttp.DummyCookieJar())
            control = TestClient(TestServer(app.control(venue)))
            await stack.enter_async_context(client)
            await stack.enter_async_context(control)
            running = asyncio.create_task(venue.run())
            stack.callback(running.cancel)
            return Stand(venue, client, control)

        yield begin
