"""Signals that end a run early, as exceptions."""

from __future__ import annotations

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal told this run to end. It is a KeyboardInterrupt, so that no handler of ordinary errors catches it."""

    def __init__(self, sign: signal.Signals) -> None:
        super().__init__(sign.name)
        self.sign = sign

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as a shell says it: 130 of Ctrl-C, 143 of SIGTERM."""
        return 128 + self.sign


def listen() -> None:
    """Raise Interrupted in the main thread at each of these signals.

    A shell starts a background job with SIGINT ignored, and programs inherit that. A handler of our own undoes it for
    this process and for all that it starts. SIGHUP stays ignored where ``nohup`` asked for it.
    """
    for sign in SIGNALS:
        if sign is signal.SIGHUP and signal.getsignal(sign) is signal.SIG_IGN:
            continue
        signal.signal(sign, _raise)


def _raise(number: int, _: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number))
