"""A row of Spark reads as the Kafka client's message."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

from ibfeed.records import origin_of
from ibfeed_platform.spark.rows import KafkaRow
from support.reader_records import AT_MS, EPOCH, tick


def row() -> KafkaRow:
    message = tick(3)
    headers = [SimpleNamespace(key=name, value=bytearray(value)) for name, value in message.headers()]  # type: ignore[arg-type]
    # Spark hands times over without a zone, in the executor's own.
    at = dt.datetime.fromtimestamp(AT_MS / 1000)  # noqa: DTZ006
    value = bytearray(message.value() or b"")
    return KafkaRow("ticklast", 2, 41, bytearray(message.key()), value, at, headers)


def test_row_has_what_the_message_has() -> None:
    found, message = row(), tick(3)
    assert (found.topic(), found.partition(), found.offset(), found.error()) == ("ticklast", 2, 41, None)
    assert (found.key(), found.value(), found.timestamp()[1]) == (message.key(), message.value(), AT_MS)
    assert origin_of(found).epoch == EPOCH
    assert origin_of(found).feed == "energy"


def test_tombstone_has_no_value() -> None:
    gone = row()._replace(of_value=None, of_key=None, of_headers=None)
    assert (gone.key(), gone.value(), gone.headers()) == (None, None, [])
