"""A recording in Kraken's public format, and a websocket server that plays it.

The first book and its checksum are the example of Kraken's documentation. The rest was written by it, and ``truth`` is
the book that the writer of the recording had after each message.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from support.ports import free_port

FILE = Path(__file__).resolve().parents[1] / "recordings" / "kraken-v2.jsonl"
Line = Mapping[str, Any]


def connections() -> list[list[Line]]:
    """The lines of each connection."""
    found: list[list[Line]] = [[]]
    for text in FILE.read_text().splitlines():
        line = json.loads(text)
        if "drop" in line:
            found.append([])
        else:
            found[-1].append(line)
    return found


def frames() -> Iterator[bytes | None]:
    """What the venue sends; None where the connection is lost."""
    for number, lines in enumerate(connections()):
        if number:
            yield None
        for line in lines:
            if "send" in line:
                yield line["send"].encode()


def truths() -> list[Line]:
    """The book after each message that was right."""
    return [line["truth"] for lines in connections() for line in lines if "truth" in line]


class PlayedVenue:
    """Plays one connection of the recording to each that comes, drops it, and keeps the last one open.

    Args:
        refuse: so many connections at first are refused.
        channels: the ones that the client subscribes to.
    """

    def __init__(self, refuse: int = 0, channels: Collection[str] = ("book", "trade", "ohlc")) -> None:
        self._channels = channels
        self._port = free_port()
        self._left = connections()
        self._refuse = refuse
        self.asked: list[Line] = []  # the requests that came
        self.url = f"http://127.0.0.1:{self._port}/v2"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/v2", self._play)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _play(self, request: web.Request) -> web.StreamResponse:
        if self._refuse:
            self._refuse -= 1
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for line in self._left.pop(0) if self._left else ():
            if "send" in line:
                await socket.send_str(line["send"])
                continue
            if line["expect"][1] not in self._channels:
                continue
            asked = await socket.receive_json(timeout=10)
            self.asked.append(asked)
            assert [asked["method"], asked["params"]["channel"]] == line["expect"]
        if not self._left:
            while (await socket.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                pass
        await socket.close()
        return socket
