"""Records of Kafka, summed up for the page: of each contract its last tick, and how many there were. Pure."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Final, Protocol

import msgspec

from ibfeed_api.records import FeedEvent

_AVRO: Final = b"\0"
_AVRO_HEAD: Final = 5  # bytes: zero, and the schema's number
# fastavro raises these for bytes that are no such record.
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, EOFError, KeyError, IndexError, TypeError, OverflowError)


class TickValue(msgspec.Struct, frozen=True, gc=False):
    """The fields of ``records.Tick`` that the page shows. Numbers are IB's own digits, or ``null``."""

    conid: int
    price: msgspec.Raw
    event_time: int
    bid: msgspec.Raw
    ask: msgspec.Raw
    volume: msgspec.Raw


class KafkaRecord(Protocol):
    """The part of a confluent-kafka message that is read."""

    def topic(self) -> str | None: ...
    def value(self) -> bytes | None: ...
    def timestamp(self) -> tuple[int, int]: ...


@dataclass(slots=True)
class Summary:
    """The sum of a number of records.

    Args:
        latest: the last tick of each topic and conid, and how many there were.
        events: of the feeds, each with its topic.
        newest_ms: the latest of the records' timestamps on Kafka; 0: there was no tick.
        unreadable: records that could not be decoded.
    """

    latest: dict[tuple[str, int], tuple[TickValue, int]] = field(default_factory=dict)
    events: list[tuple[str, FeedEvent]] = field(default_factory=list)
    newest_ms: int = 0
    unreadable: int = 0


_tick: Final = msgspec.json.Decoder(TickValue)
_event: Final = msgspec.json.Decoder(FeedEvent)


def summarise(records: Iterable[KafkaRecord], event_topics: frozenset[str]) -> Summary:
    """Sum records up. One that cannot be read is counted, and nothing else."""
    found = Summary()
    for record in records:
        topic, value = record.topic() or "", record.value()
        if value is None:
            continue
        try:
            if topic in event_topics:
                found.events.append((topic, _event.decode(_as_json(value, "feed-events-2"))))
                continue
            tick = _tick.decode(_as_json(value, "ticklast-2"))
        except _UNREADABLE:
            found.unreadable += 1
            continue
        _, count = found.latest.get((topic, tick.conid), (tick, 0))
        found.latest[topic, tick.conid] = (tick, count + 1)
        found.newest_ms = max(found.newest_ms, record.timestamp()[1])
    return found


def _as_json(value: bytes, schema: str) -> bytes:
    """Return a value as JSON. All workers of this release write Avro by the one schema that comes with it."""
    if value[:1] != _AVRO:
        return value
    import fastavro  # only feeds with spec.kafka.format: Avro need it

    record = fastavro.schemaless_reader(io.BytesIO(value[_AVRO_HEAD:]), _schema(schema), None)
    if not isinstance(record, Mapping):
        raise TypeError("it is no record")
    # A key of an event that JSON leaves out where it has no value is a null in Avro, which its defaults stand for.
    return msgspec.json.encode({key: _plain(one) for key, one in record.items() if one is not None or key in _NULLS})


_NULLS: Final = frozenset(("bid", "ask", "volume"))


@cache
def _schema(name: str) -> Any:
    import fastavro

    text = (resources.files("ibfeed_api") / "avro" / f"{name}.avsc").read_text()
    return fastavro.parse_schema(json.loads(text))


def _plain(value: Any) -> Any:
    return msgspec.Raw(f"{value.normalize():f}".encode()) if isinstance(value, Decimal) else value
