"""The websocket's messages: each read as what it is, and handed to whom it concerns.

Each frame passes here, so this module is one of those that are compiled: no coroutines (decision 25).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from ibfeed_worker.stream.frame import UNREADABLE, Frame, Joiner, read

_read: Final = read  # a name that is imported is looked up at each use
_unreadable: Final = UNREADABLE


@dataclass(slots=True)
class FrameCounters:
    """Of all connections since the process started."""

    frames: int = 0
    bytes: int = 0
    malformed: int = 0
    errors: int = 0  # error frames
    unknown: int = 0  # frames of topics that we do not know
    connections: int = 0
    subscribed: int = 0  # commands sent, renewals included
    unsubscribed: int = 0
    unsubscribed_again: int = 0  # umd commands that IB had not heeded
    refused: int = 0  # contracts without a line, now
    ladders_asked: int = 0  # sbd commands
    ladders_ended: int = 0  # ubd commands


@final
class Dispatcher:
    """Those of one connection, or pieces of them. Nothing in one is fatal."""

    def __init__(
        self,
        counters: FrameCounters,
        *,
        on_quote: Callable[[Frame, int], None],
        on_other: Callable[[Frame, bytes, int], None],
        on_malformed: Callable[[bytes], None],
    ) -> None:
        """``on_quote``: an ``smd`` frame, and when it came (ns since 1970); ``on_other``: any other one, errors of an
        ``smd`` command among them, and its message; ``on_malformed``: a message that can't be read."""
        self.joiner: Final = Joiner()
        self._counters: Final = counters
        self._on_quote: Final = on_quote
        self._on_other: Final = on_other
        self._on_malformed: Final = on_malformed

    def take(self, payload: bytes) -> None:
        received_ns = time.time_ns()
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
        """What is not a message as IB documents it, or comes while pieces of one wait for the rest."""
        malformed = self.joiner.malformed
        frame = self.joiner.take(payload, time.monotonic())
        if self.joiner.malformed != malformed:
            self._counters.malformed += self.joiner.malformed - malformed
            self._on_malformed(payload)
        return frame
