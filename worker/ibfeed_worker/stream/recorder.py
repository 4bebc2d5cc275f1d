"""The stream's view of a recorder of raw frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

Dispatch = Callable[[bytes, int], None]  # a message, and when it came (ns since 1970)


class Recorder(Protocol):
    """The recorder of raw frames. None of its methods waits; times are ns since 1970."""

    def opened(self, at_ns: int) -> None:
        """A websocket was opened."""

    def received(self, payload: bytes, at_ns: int) -> None:
        """A message of IB came."""

    def sent(self, payload: bytes, at_ns: int) -> None:
        """A command of ours went out."""


class _NoRecorder:
    """The recorder of a worker that does not record."""

    def opened(self, at_ns: int) -> None: ...
    def received(self, payload: bytes, at_ns: int) -> None: ...
    def sent(self, payload: bytes, at_ns: int) -> None: ...


NO_RECORDER: Final[Recorder] = _NoRecorder()


def recorded(dispatch: Dispatch, recorder: Recorder) -> Dispatch:
    """Return a dispatcher that records each message first.

    It is ``dispatch`` itself if nothing is recorded: the choice is made once, and frames pay nothing for it.
    """
    if recorder is NO_RECORDER:
        return dispatch

    def record_and_dispatch(payload: bytes, received_ns: int) -> None:
        recorder.received(payload, received_ns)
        dispatch(payload, received_ns)

    return record_and_dispatch
