"""One websocket: its subscriptions, the versions that it was sent, and the bytes that wait to go out.

Frames are written to the transport directly: one write for all frames of a moment, encoded once for all connections.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

from aiohttp import WSCloseCode, web

from ibfeed_simulator.market.source import Ladder
from ibfeed_simulator.venue import frames
from ibfeed_simulator.venue.balances import Row
from ibfeed_simulator.venue.frames import Frame
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.truth import Receiver

# A client that reads more slowly is conflated further: it gets the latest values when it has room.
_BUFFER_LIMIT = 1 << 20
_numbers = itertools.count(1)


@dataclass(eq=False)
class Subscription:
    conid: int
    fields: frozenset[str]
    expires: float  # venue time
    version: int  # of the instrument, at the last frame
    frozen: bool = False  # dead without a word; not even a renewal helps


@dataclass(eq=False)
class LadderSubscription:
    topic: str
    conid: int
    sent: Ladder | None = None


class Connection:
    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport, address: str, phase: int) -> None:
        self.number = next(_numbers)
        self.address = address
        self.phase = phase
        self.session: SsoSession | None = None
        self.receiver: Receiver | None = None
        self.subscriptions: dict[int, Subscription] = {}
        self.ladder: LadderSubscription | None = None
        self.ledger: list[Row] = []  # its last rows; empty: not subscribed
        self.last_updated: dict[int, int] = {}
        self.next_heartbeat = 0.0
        self.fragment_size: int | None = None
        self._socket = socket
        self._transport = transport
        self._out = bytearray()
        self._closing: asyncio.Task[bool] | None = None

    @property
    def username(self) -> str | None:
        return self.session.user.username if self.session is not None else None

    def attach(self, session: SsoSession) -> None:
        self.session = session
        self.receiver = Receiver.of(session.user.username, session.tickle_id, self.number)

    @property
    def congested(self) -> bool:
        """Whether nothing can be sent now. A closed TLS transport is not asked for its buffer, since that raises."""
        return not self.open or self._transport.get_write_buffer_size() > _BUFFER_LIMIT

    @property
    def open(self) -> bool:
        return not self._socket.closed and not self._transport.is_closing()

    def queue(self, frame: Frame) -> None:
        self._out += (
            frame.wire if self.fragment_size is None else frames.wire_fragments(frame.payload, self.fragment_size)
        )

    def send(self, document: object) -> None:
        """Send at once, after all that is queued."""
        self.queue(Frame.of(document))
        self.flush()

    def send_text(self, payload: bytes) -> None:
        self._out += frames.wire(payload)
        self.flush()

    def flush(self) -> None:
        if self._out and self.open:
            self._transport.write(bytes(self._out))
        self._out.clear()

    def close(self, message: bytes = b"") -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(
                self._socket.close(code=WSCloseCode.GOING_AWAY, message=message)
            )

    def abort(self) -> None:
        self._transport.abort()
