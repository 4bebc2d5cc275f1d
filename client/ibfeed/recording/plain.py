"""Avro, made JSON before it is recorded: a recording is to be read in a year, when its schema registry may be gone.

Each value stays what it was: zeros at the end of a fraction were lost when it became Avro. A header tells that it did.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from ibfeed.avro import AvroReader, ChangedMessage, is_avro
from ibfeed.errors import RegistryError, RegistryUnreachableError
from ibfeed.records import Message
from ibfeed.registry import SchemaRegistry

MARK: Final = ("recorded-from", b"avro")
_FIRST_S: Final = 0.5  # until a registry that is away is asked again; it doubles
_MOST_S: Final = 15.0
_LOOK_S: Final = 0.1
_log: Final = logging.getLogger("ibfeed.recording")


class PlainValues:
    """The values of one recorder.

    Args:
        registry: of a feed that writes Avro; None: it is not named.
        feed: other feeds' values are left as they are, for their registry may be another one; None: there are none.
        stop: whether to end.
    """

    def __init__(self, registry: SchemaRegistry | None, feed: str | None, stop: Callable[[], bool]) -> None:
        self._avro: Final = None if registry is None else AvroReader(registry.schema)
        self._feed: Final = feed
        self._stop: Final = stop

    def plain(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the records with values in JSON. One that cannot be decoded stays as it came.

        It waits for a registry that does not answer, and returns no record if it is told to end meanwhile.
        Raises RegistryError if there is none, or it refuses.
        """
        pause_s = _FIRST_S
        while True:
            try:
                return [self._plain(message) if is_avro(message.value()) else message for message in messages]
            except RegistryUnreachableError as error:
                _log.warning("%s; it is asked again in %g s, and nothing is recorded meanwhile", error, pause_s)
            if self._ended_within(pause_s):
                return []
            pause_s = min(2 * pause_s, _MOST_S)

    def _plain(self, message: Message) -> Message:
        if not self._is_wanted(message):
            return message
        if self._avro is None:
            raise RegistryError("the feed writes Avro: name its schema registry by --schema-registry")
        found = self._avro.plain(message)
        return message if found is message else ChangedMessage(found, found.value(), [MARK])

    def _is_wanted(self, message: Message) -> bool:
        worker = dict(message.headers() or ()).get("worker") or b""
        return self._feed is None or worker.rpartition(b"-")[0] == self._feed.encode()

    def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._stop():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_S)
        return True
