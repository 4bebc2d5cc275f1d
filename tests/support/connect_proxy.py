"""A small HTTP proxy that opens tunnels, for tests. It runs in a thread, so that processes can use it as well."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self


class ConnectProxy:
    """The proxy.

    ``targets`` are all targets that were asked for (``host:port``). ``routes`` gives the real place of a target: a port
    of this host, or host and port. Any other target is refused with 403, as by a proxy that allows a list.
    ``credentials`` is the ``Basic …`` that it demands. ``address`` is where it listens.
    """

    def __init__(
        self, routes: Mapping[str, int | tuple[str, int]], credentials: str = "", address: str = "127.0.0.1"
    ) -> None:
        self.targets: list[str] = []
        self.address = address
        self.port = 0
        self._routes = {
            target: route if isinstance(route, tuple) else ("127.0.0.1", route) for target, route in routes.items()
        }
        self._credentials = credentials
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, self.address, 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split(" ", 2)
            self.targets.append(target)
            if method != "CONNECT":
                writer.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
            elif self._credentials and f"proxy-authorization: {self._credentials}".lower() not in head.lower():
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            elif target not in self._routes:
                writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            else:
                far_reader, far_writer = await asyncio.open_connection(*self._routes[target])
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with contextlib.closing(far_writer):
                    await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
            await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
