"""A websocket client that shows single frames.

The real gateway passes a fragmented message on as several messages, and does not check whether text is UTF-8. Client
libraries join and check, so this module has the few lines of RFC 6455 that are needed.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_MAX_FRAME = 65_536  # 70,000 bytes closed a real gateway's socket, 60,000 passed
_LINE_LIMIT = 65_536


class UpstreamClosedError(Exception):
    """The other side closed or broke off. ``reason`` is the text of its close frame."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Piece:
    """One data frame: a whole message or a fragment."""

    text: bool
    payload: bytes


class UpstreamSocket:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(
        cls, url: str, headers: dict[str, str], tls: ssl.SSLContext, address: Callable[[str], str] = str
    ) -> UpstreamSocket:
        """Open ``https://host[:port]/path``.

        ``address`` gives the address for a host. Raises UpstreamClosedError if the answer is no 101, and OSError if
        there is no answer.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or 443
        reader, writer = await asyncio.open_connection(
            address(host), port, ssl=tls, server_hostname=host, limit=_LINE_LIMIT
        )
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {parts.path} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in headers.items() if value),
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        await writer.drain()
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
            writer.close()
            raise UpstreamClosedError("no answer to the upgrade") from error
        if answer.split(b" ", 2)[1:2] != [b"101"]:
            writer.close()
            raise UpstreamClosedError(answer.split(b"\r\n", 1)[0].decode("latin-1"))
        return cls(reader, writer)

    async def pieces(self) -> AsyncIterator[Piece]:
        """Yield data frames, and answer pings. It ends by UpstreamClosedError."""
        text = True
        while True:
            opcode, payload = await self._frame()
            if opcode in (TEXT, BINARY):
                text = opcode == TEXT
            if opcode in (TEXT, BINARY, CONTINUATION):
                yield Piece(text, payload)
            elif opcode == PING:
                self._send(PONG, payload)
            elif opcode == CLOSE:
                self._send(CLOSE, payload[:2])
                raise UpstreamClosedError(payload[2:].decode("utf-8", "replace"))

    async def _frame(self) -> tuple[int, bytes]:
        try:
            first, second = await self._reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self._reader.readexactly(8))
            if length > _MAX_FRAME:
                raise UpstreamClosedError(f"a frame of {length} bytes")
            return first & 0x0F, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError) as error:
            raise UpstreamClosedError("cut") from error

    def send_text(self, payload: bytes) -> None:
        self._send(TEXT, payload)

    def _send(self, opcode: int, payload: bytes) -> None:
        """Send a frame, masked as RFC 6455 asks of clients."""
        length = len(payload)
        if length < 126:
            header = bytes((0x80 | opcode, 0x80 | length))
        elif length < 65_536:
            header = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
        else:
            header = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
        mask = os.urandom(4)
        keys = (mask * (length // 4 + 1))[:length]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(length, "big")
        self._writer.write(header + mask + masked)

    async def close(self) -> None:
        if not self._writer.is_closing():
            self._send(CLOSE, struct.pack("!H", 1000))
            self._writer.close()
