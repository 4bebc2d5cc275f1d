"""The dispatcher of the websocket's messages: each is decoded, and passed to its handler.

Each frame passes here, so this is one of the compiled modules: no coroutines (ADR 25).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from ibfeed_worker.stream.frame import UNREADABLE, Frame, Joiner, read

_read: Final = read  # an imported name would be looked up at each use
_unreadable: Final = UNREADABLE


@dataclass(slots=True)
class FrameCounters:
    """Counts of all connections since the process started."""

    frames: int = 0
    bytes: int = 0
    malformed: int = 0
    errors: int = 0  # error frames
    unknown: int = 0  # frames of topics that we do not know
    connections: int = 0
    subscribed: int = 0  # smd commands sent, renewals included
    unsubscribed: int = 0
    unsubscribed_again: int = 0  # umd commands that IB had not heeded
    refused: int = 0  # contracts that have no line at present
    ladders_asked: int = 0  # sbd commands
    ladders_ended: int = 0  # ubd commands


@final
class Dispatcher:
    """The dispatcher of one connection's messages, or pieces of them. No message is fatal."""

    def __init__(
        self,
        counters: FrameCounters,
        *,
        on_quote: Callable[[Frame, int], None],
        on_other: Callable[[Frame, bytes, int], None],
        on_malformed: Callable[[bytes], None],
    ) -> None:
        """Create the dispatcher of one connection.

        Args:
            on_quote: called with an ``smd`` frame, and when it came (ns since 1970).
            on_other: called with any other frame, its message, and when it came. Errors of an ``smd`` command are among
                them.
            on_malformed: called with a message that can't be read.
        """
        self.joiner: Final = Joiner()
        self._counters: Final = counters
        self._on_quote: Final = on_quote
        self._on_other: Final = on_other
        self._on_malformed: Final = on_malformed

    def dispatch(self, payload: bytes, received_ns: int) -> None:
        """Take a message that came at ``received_ns`` (ns since 1970)."""
        self._counters.frames += 1
        self._counters.bytes += len(payload)
        frame: Frame | None
        try:
            frame = None if self.joiner.waiting else _read(payload)
        except _unreadable:
            frame = None
        if frame is None and (frame := self._join(payload)) is None:
            return
        if frame.error is None and frame.topic.startswith("smd"):
            self._on_quote(frame, received_ns)
        else:
            self._on_other(frame, payload, received_ns)

    def _join(self, payload: bytes) -> Frame | None:
        """Return the frame that a message completes, if any.

        It takes a message that is not as IB documents it, or that comes while pieces of one wait for the rest.
        """
        malformed = self.joiner.malformed
        frame = self.joiner.add(payload, time.monotonic())
        if self.joiner.malformed != malformed:
            self._counters.malformed += self.joiner.malformed - malformed
            self._on_malformed(payload)
        return frame
