"""Rows of Spark's Kafka source as messages of the Kafka client, so that both are read by the same code."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

COLUMNS: Final = ("topic", "partition", "offset", "key", "value", "timestamp", "headers")
_LOG_APPEND: Final = 1


class Header(Protocol):
    """A header as Spark has it."""

    key: str
    value: bytearray | None


class KafkaRow(NamedTuple):
    """A row with the columns ``COLUMNS``, in their order."""

    of_topic: str
    of_partition: int
    of_offset: int
    of_key: bytearray | None
    of_value: bytearray | None
    of_timestamp: dt.datetime
    of_headers: Sequence[Header] | None

    def topic(self) -> str:
        return self.of_topic

    def partition(self) -> int:
        return self.of_partition

    def offset(self) -> int:
        return self.of_offset

    def key(self) -> bytes | None:
        return None if self.of_key is None else bytes(self.of_key)

    def value(self) -> bytes | None:
        return None if self.of_value is None else bytes(self.of_value)

    def headers(self) -> list[tuple[str, bytes | None]]:
        return [(header.key, None if header.value is None else bytes(header.value)) for header in self.of_headers or ()]

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of the time, and the time in ms since 1970."""
        return _LOG_APPEND, int(self.of_timestamp.timestamp() * 1000)

    def error(self) -> None:
        """Return None: Spark ends a batch that meets an error."""
