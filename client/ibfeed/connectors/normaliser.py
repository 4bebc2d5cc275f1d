"""The base class of normalisers. A venue is added by one subclass: see docs/connectors.md."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from ibfeed.events import Event


class Send(NamedTuple):
    """A frame that the connector is to send to the venue."""

    frame: bytes


class Normaliser(ABC):
    """The frames of one websocket as events.

    It does no I/O and reads no clock. So a recording of frames gives the same events each time.

    Args:
        name: of the source, such as ``kraken``. Events have it as ``source`` and ``feed``.
        url: of the websocket.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url

    @abstractmethod
    def subscriptions(self) -> Sequence[bytes]:
        """Return the frames that subscribe. They are sent on each new connection."""

    @abstractmethod
    def normalise(self, frame: bytes, received_ns: int) -> Sequence[Event | Send]:
        """Return the events of a frame, and frames to send, in their order.

        Args:
            frame: as it came.
            received_ns: our clock when it came, in ns since 1970.

        Raises:
            FrameError: the frame is not as the venue documents it. The connection is then made again.
        """

    @abstractmethod
    def disconnected(self, at_ms: int) -> Sequence[Event]:
        """Return what the loss of the connection means, such as that books are not known any more."""
