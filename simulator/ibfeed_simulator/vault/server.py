"""The whole stand-in: one vault, its token endpoint, metadata service and control API, on two listeners."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from ibfeed_simulator.vault.control import Control
from ibfeed_simulator.vault.entra import Entra
from ibfeed_simulator.vault.faults import Faults
from ibfeed_simulator.vault.metadata import Metadata
from ibfeed_simulator.vault.rest import Rest
from ibfeed_simulator.vault.store import Store
from ibfeed_simulator.vault.tokens import Tokens

DEFAULT_TENANT: Final = "33333333-3333-4333-8333-333333333333"


class Server:
    """The running stand-in. ``async with`` listens until the block ends. Ports of 0 become the ports in use."""

    def __init__(
        self,
        secrets: Mapping[str, str],
        tls: ssl.SSLContext,
        *,
        port: int = 0,
        control_port: int | None = None,
        host: str = "127.0.0.1",
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        self.store: Final = Store(time.time)
        self.tokens: Final = Tokens(time.time)
        self.faults: Final = Faults(time.monotonic)
        self.tenant: Final = tenant
        self.port = port
        self.control_port = control_port
        for name, value in secrets.items():
            self.store.put(name, value)
        self._tls = tls
        self._host = host
        self._runners: list[web.AppRunner] = []

    async def __aenter__(self) -> Server:
        vault = web.Application()
        vault.add_routes(Rest(self.store, self.tokens, self.faults, tenant=self.tenant).routes())
        vault.add_routes(Entra(self.tokens, self.faults, tenant=self.tenant).routes())
        self.port = await self._listen(vault, self.port, self._tls)
        if self.control_port is not None:
            plain = web.Application()
            plain.add_routes(Metadata(self.tokens, self.faults, tenant=self.tenant).routes())
            plain.add_routes(Control(self.tokens, self.faults, tenant=self.tenant).routes())
            self.control_port = await self._listen(plain, self.control_port, None)
        return self

    async def __aexit__(self, *_error: object) -> None:
        for runner in reversed(self._runners):
            await runner.cleanup()

    async def _listen(self, app: web.Application, port: int, tls: ssl.SSLContext | None) -> int:
        # No access log: a log may tell nothing about a secret, not even that it was read and when.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, self._host, port, ssl_context=tls).start()
        return int(runner.addresses[0][1])
