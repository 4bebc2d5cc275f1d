"""The gateway's end of one websocket over TLS: a plain blocking server, so that what is measured is the client."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import struct
from types import TracebackType
from typing import Any, Final, Self

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SYSTEM: Final = {"topic": "system", "success": "user", "isFT": False, "isPaper": True}
STATUS: Final = {"topic": "sts", "args": {"connected": True, "authenticated": True, "competing": False}}


def framed(message: bytes) -> bytes:
    """A message as an unmasked binary frame; the gateway sends no others."""
    size = len(message)
    if size < 126:
        return bytes((0x82, size)) + message
    return b"\x82\x7e" + struct.pack(">H", size) + message


class Server:
    """Listens on a free port; ``accept`` serves one client."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context: Final = context
        self._listening: Final = socket.create_server(("127.0.0.1", 0))
        self.port: Final[int] = self._listening.getsockname()[1]
        self._client: ssl.SSLSocket | None = None
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        if self._client is not None:
            self._client.close()

    def accept(self, limit: float = 30.0) -> None:
        """Shake hands and greet as IB does."""
        self._listening.settimeout(limit)
        plain, _ = self._listening.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(limit)
        self._client = self._context.wrap_socket(plain, server_side=True)
        request = b""
        while b"\r\n\r\n" not in request:
            request += self._client.recv(65536)
        head, _, self._unread = request.partition(b"\r\n\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (x.partition(b":") for x in head.split(b"\r\n"))
        }
        accepted = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _GUID).digest())
        self._client.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
        )
        self.send_json(SYSTEM, STATUS)

    def hear_subscriptions(self, count: int) -> None:
        """Read until so many different contracts are subscribed."""
        heard: set[bytes] = set()
        while len(heard) < count:
            text = self._message()
            if text.startswith(b"smd+"):
                heard.add(text.split(b"+")[1])

    def send_json(self, *messages: Any) -> None:
        self.send(b"".join(framed(json.dumps(message, separators=(",", ":")).encode()) for message in messages))

    def send(self, data: bytes) -> None:
        """What is framed already. Blocks while the client does not read."""
        assert self._client is not None
        self._client.sendall(data)

    def _message(self) -> bytes:
        size = self._take(2)[1] & 127
        if size == 126:
            (size,) = struct.unpack(">H", self._take(2))
        mask = self._take(4)
        return bytes(byte ^ mask[place % 4] for place, byte in enumerate(self._take(size)))

    def _take(self, count: int) -> bytes:
        assert self._client is not None
        while len(self._unread) < count:
            data = self._client.recv(65536)
            if not data:
                raise ConnectionError("the client went away")
            self._unread += data
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken
