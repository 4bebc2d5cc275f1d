"""``bin/run.sh root/conf.yaml`` of a distribution, or ``python -m ibfeed_simulator gateway root/conf.yaml``."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from aiohttp import web

from ibfeed_simulator.gateway.conf import Configuration, ConfigurationError, load
from ibfeed_simulator.gateway.cookies import CookieStore
from ibfeed_simulator.gateway.logs import open_logs
from ibfeed_simulator.gateway.proxy import Proxy
from ibfeed_simulator.gateway.upstream import Upstream, tls_context

_log = logging.getLogger(__name__)
_SHUTDOWN_SECONDS = 1.0
_PRINTED_EARLY_SECONDS = 0.5  # 0.32 to 0.85 s were measured


async def serve(configuration: Configuration) -> None:
    """Serve until SIGTERM. Raises OSError or ssl.SSLError if port or certificate do not serve."""
    server_tls: ssl.SSLContext | None = None
    if configuration.tls:
        server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_tls.load_cert_chain(configuration.certificate)
    cookies = CookieStore()
    upstream = Upstream(configuration, cookies, tls_context())
    proxy = Proxy(configuration, upstream, cookies)
    runner = web.AppRunner(proxy.app(), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS)
    try:
        await runner.setup()
        scheme = "https" if configuration.tls else "http"
        # Clients wait for exactly this line. The real one, too, prints it before it listens.
        print(f"Open {scheme}://localhost:{configuration.port} to login", flush=True)
        await asyncio.sleep(_PRINTED_EARLY_SECONDS)
        await web.TCPSite(runner, "0.0.0.0", configuration.port, ssl_context=server_tls).start()  # noqa: S104 - as the real one; ips guards it
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await stop.wait()
    finally:
        await proxy.close()
        await runner.cleanup()
        await upstream.close()


def main(arguments: list[str]) -> int:
    """Run the gateway. Return exit code 1 if configuration, certificate or port do not serve."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    if len(arguments) != 1:
        print("usage: run.sh root/conf.yaml", file=sys.stderr)
        return 2
    try:
        open_logs(Path(arguments[0]).with_name("logback.xml"))
        asyncio.run(serve(load(Path(arguments[0]))))
    except (ConfigurationError, ET.ParseError, OSError) as error:
        _log.error("gateway cannot start: %s", error)
        return 1
    return 0
