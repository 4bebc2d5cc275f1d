"""Records that a feed writes as Avro (``spec.kafka.format: Avro``), made JSON again.

A value begins with a zero byte and the number of its schema, as Confluent's clients frame it. The registry says which
schema that is. Each value is exact; zeros at the end of a fraction are not kept.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from ibfeed.errors import MissingExtraError, RecordError
from ibfeed.records import Message

_HEAD: Final = 5  # bytes: zero, and the schema's number
# fastavro raises these for bytes that are no such record.
_UNREADABLE: Final = (ValueError, EOFError, KeyError, IndexError, TypeError, OverflowError)


def is_avro(value: object) -> bool:
    """Whether a record's value is Avro. JSON begins with a brace."""
    return isinstance(value, bytes) and value[:1] == b"\0"


class AvroReader:
    """The reader of Avro values. ``schema_of`` is asked once for the text of each schema."""

    def __init__(self, schema_of: Callable[[int], str]) -> None:
        self._schema_of: Final = schema_of
        self._schemas: Final[dict[int, _Schema]] = {}

    def plain(self, message: Message) -> Message:
        """Return a record whose value is JSON. One that is no Avro, or cannot be read, comes back as it is.

        Raises what ``schema_of`` raises, or MissingExtraError without fastavro.
        """
        value = message.value()
        if not is_avro(value):
            return message
        try:
            return ChangedMessage(message, self.decode(value))
        except RecordError:
            return message  # the decoder of its JSON says that it is none

    def decode(self, value: bytes) -> bytes:
        """Return JSON of an Avro value. Raises RecordError, what ``schema_of`` raises, or MissingExtraError."""
        if len(value) < _HEAD:
            raise RecordError("it is Avro, and ends before the number of its schema")
        number = int.from_bytes(value[1:_HEAD])
        try:
            schema = self._schemas.get(number)
            if schema is None:
                schema = self._schemas[number] = _Schema(self._schema_of(number))
            return schema.decode(value)
        except _UNREADABLE as error:
            cause = str(error) or "it ends too soon"
            raise RecordError(f"it is Avro, and not as its schema {number} says: {cause}") from None


class _Schema:
    """One schema, and how the values of its fields differ from those in JSON."""

    def __init__(self, text: str) -> None:
        try:
            import fastavro
        except ImportError:
            raise MissingExtraError("records in Avro need fastavro: pip install 'ibfeed[avro]'") from None
        described = json.loads(text)
        self._read: Final = fastavro.schemaless_reader
        self._schema: Final = fastavro.parse_schema(described)
        # A key that JSON leaves out where it has no value; any other null is a null there, too.
        self._optional: Final = {one["name"] for one in described["fields"] if one.get("optional")}

    def decode(self, value: bytes) -> bytes:
        record = self._read(io.BytesIO(value[_HEAD:]), self._schema, None)
        if not isinstance(record, Mapping):
            raise TypeError("it is no record")
        told = {key: one for key, one in record.items() if one is not None or key not in self._optional}
        return msgspec.json.encode({key: _plain(one) for key, one in told.items()})


def _plain(value: Any) -> Any:
    """Return a value for JSON: decimals by their digits, and the pairs of a list without names."""
    if isinstance(value, Decimal):
        whole, _, fraction = f"{value:f}".partition(".")
        fraction = fraction.rstrip("0")
        return msgspec.Raw((f"{whole}.{fraction}" if fraction else whole).encode())
    if isinstance(value, list):
        return [[_plain(part) for part in one.values()] if isinstance(one, Mapping) else one for one in value]
    return value


class ChangedMessage:
    """A record with another value, and more headers."""

    __slots__ = ("_headers", "_message", "_value")

    def __init__(self, message: Message, value: Any, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        self._message: Final = message
        self._value: Final = value
        self._headers: Final = headers

    def value(self) -> Any:
        return self._value

    def topic(self) -> str | None:
        return self._message.topic()

    def partition(self) -> int | None:
        return self._message.partition()

    def offset(self) -> int | None:
        return self._message.offset()

    def key(self) -> Any:
        return self._message.key()

    def headers(self) -> Any:
        return [*(self._message.headers() or ()), *self._headers] if self._headers else self._message.headers()

    def timestamp(self) -> tuple[int, int]:
        return self._message.timestamp()

    def error(self) -> Any:
        return self._message.error()
