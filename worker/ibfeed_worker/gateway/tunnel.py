"""IB's address on this pod's loopback interface, with the proxy behind it.

IB's gateway takes no proxy: neither the environment nor the JVM's ``https.proxyHost`` leads it to one (tried with build
a27ed421). Nor can it be pointed at another port, for then it loses its websocket. So it is made to believe that its
upstream is 127.0.0.1 (``jdk.net.hosts.file``). There this module listens on the upstream's own port, and opens a tunnel
through the proxy for each connection. TLS is between the gateway and IB.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ibfeed_api.log import Log
from ibfeed_worker.runtime.proxies import HttpProxy

LISTEN: Final = "127.0.0.1"
_LIMIT_S: Final = 10.0  # for the proxy to open a tunnel
_CHUNK: Final = 65_536
_log: Final = Log(__name__)


class TunnelClosedError(Exception):
    """The worker can't listen where the gateway looks for IB. The text says why, and what to do."""


class Tunnel:
    """The listener that leads the gateway's connections through the proxy.

    ``trouble`` is a sentence for a person: why the latest connection failed. It is empty if that one succeeded.
    """

    def __init__(self, proxy: HttpProxy, upstream: str) -> None:
        parts = urlsplit(upstream)
        self.host: Final = parts.hostname or ""
        self.port: Final = parts.port or 443
        self.trouble = ""
        self._proxy = proxy
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen, unless it does already. Raises TunnelClosedError."""
        if self._server is not None:
            return
        try:
            self._server = await asyncio.start_server(self._accept, LISTEN, self.port)
        except OSError as error:
            raise TunnelClosedError(
                f"the gateway can't be led to the proxy {self._proxy}, since the worker may not listen on {LISTEN}"
                f" port {self.port}: {error.strerror}; the pod needs the sysctl net.ipv4.ip_unprivileged_port_start,"
                " which the operator sets for a variable HTTPS_PROXY in spec.worker.env"
            ) from None
        _log.info("IB is reached through a proxy", proxy=str(self._proxy), upstream=f"{self.host}:{self.port}")

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def write_hosts(self, path: Path) -> Path:
        """Write the JVM's file of host names. The JVM knows no name that is not in it."""
        path.write_text(f"{LISTEN} {self.host}\n{LISTEN} localhost {socket.gethostname()}\n")
        return path

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer), name="tunnel")
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                async with asyncio.timeout(_LIMIT_S):
                    far_reader, far_writer = await self._connect()
            except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                self._fails(
                    f"the proxy {self._proxy} can't be reached: {_words(error)}; check HTTPS_PROXY and NO_PROXY"
                )
                return
            except _TunnelRefusedError as error:
                self._fails(f"the proxy {self._proxy} opens no tunnel to {self.host}:{self.port}: {error}")
                return
            self.trouble = ""
            with contextlib.closing(far_writer):
                ways = (_pump(reader, far_writer), _pump(far_reader, writer))
                pumps = [asyncio.create_task(way, name="tunnel pump") for way in ways]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a tunnel. Raises _TunnelRefusedError, OSError, and the errors of a stream that ends."""
        context = ssl.create_default_context() if self._proxy.tls else None
        reader, writer = await asyncio.open_connection(self._proxy.host, self._proxy.port, ssl=context)
        try:
            target = f"{self.host}:{self.port}"
            lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
            if self._proxy.authorization:
                lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            head = await reader.readuntil(b"\r\n\r\n")
        except BaseException:
            writer.close()
            raise
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        if status.split(" ", 2)[1:2] != ["200"]:
            writer.close()
            raise _TunnelRefusedError(_advice(status))
        return reader, writer

    def _fails(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.warning("no tunnel through the proxy", trouble=trouble)
        self.trouble = trouble


class _TunnelRefusedError(Exception):
    """The proxy opened no tunnel. The text is its status line, with advice."""


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # when one side has gone, the other one is closed, too
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


def _advice(status: str) -> str:
    code = status.split(" ", 2)[1] if " " in status else ""
    if code == "407":
        return f"{status}; take HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT from a Secret"
    if code == "403":
        return f"{status}; allow this address on the proxy"
    return status


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
