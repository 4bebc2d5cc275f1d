"""The venue, served by the soak's loop, and somebody who listens to every contract of it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

from aiohttp import web

from ibfeed_simulator.certificates import Issued
from ibfeed_simulator.venue import app, streamer
from ibfeed_simulator.venue.connection import Connection
from ibfeed_simulator.venue.settings import Settings
from ibfeed_simulator.venue.users import User
from ibfeed_simulator.venue.venue import Venue
from ibfeed_worker.ticks import FIELDS

_STEP_S: Final = 1.0  # a heartbeat each ten seconds needs no finer one
_AT_ONCE: Final = 20_000
_NAME: Final = "witness"


@contextlib.asynccontextmanager
async def serving(settings: Settings, issued: Issued, port: int, folder: Path) -> AsyncIterator[Venue]:
    venue = Venue(settings)
    certificate, key = folder / "venue.crt", folder / "venue.key"
    certificate.write_text(issued.certificate)
    key.write_text(issued.key)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    runner = web.AppRunner(app.public(venue), access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    with mock.patch.object(streamer, "STEP", _STEP_S):
        running = asyncio.create_task(venue.run())
        try:
            yield venue
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            venue.close()
            await runner.cleanup()


class Witness:
    """Listens to the contracts of the roots whoever of the workers does, as nothing moves that nobody listens to.

    ``sent``: conid -> IB's times (ms) of all updates that anybody was sent; ``renewals``: subscriptions renewed.
    """

    def __init__(self, venue: Venue, roots: Mapping[str, int]) -> None:
        self.sent: Final[dict[int, set[int]]] = defaultdict(set)
        self.renewals = 0
        self._venue = venue
        self._roots = roots
        self._cursor = 1
        deaf: Any = _Deaf()
        session: Any = SimpleNamespace(user=User(_NAME, ""), tickle_id=_NAME)
        self._connection = Connection(deaf, deaf, _NAME, 0)
        self._connection.attach(session)
        venue.streamer.add(self._connection)

    def listen(self) -> None:
        """Subscribe what is listed today, and one month more than is streamed: before any worker does."""
        subscriptions = self._connection.subscriptions
        for root, months in self._roots.items():
            for contract in self._venue.exchange.listed(root)[: months + 1]:
                if contract.conid not in subscriptions:
                    self._venue.streamer.subscribe(self._connection, contract.conid, frozenset(FIELDS))
                    subscriptions[contract.conid].expires = float("inf")

    def read(self) -> None:
        """Take over what the ground truth has noted, before its ring forgets it."""
        while True:
            entries, forgotten = self._venue.truth.since(self._cursor, _AT_ONCE)
            assert not forgotten, "the venue's ring forgot what was not read yet"
            for entry in entries:
                if entry.kind in ("full", "delta"):
                    self.sent[entry.conid].add(entry.updated)
                elif entry.kind == "renewal":
                    self.renewals += 1
            if not entries:
                return
            self._cursor = entries[-1].number + 1


class _Deaf:
    """Socket and transport of a listener whom nothing needs to reach: the ground truth notes what was sent to it."""

    closed = False

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None: ...

    async def close(self, **_: Any) -> bool:
        return True
