"""Records as Avro in Confluent's framing: a zero byte, the schema's number in four bytes, then the record. Pure.

The rest of the worker makes and reads JSON. Numbers keep their value: Avro has them with 18 digits after the point, and
zeros at the end are left out when they become JSON again.
"""

from __future__ import annotations

import decimal
import io
import json
import struct
from collections.abc import Mapping
from decimal import Decimal
from importlib import resources
from typing import Any, Final

import fastavro
import msgspec

from ibfeed_api.records import SCHEMA_CONTRACT, SCHEMA_DEPTH, SCHEMA_EVENT, SCHEMA_TICK

WRITTEN: Final = (SCHEMA_TICK, SCHEMA_DEPTH, SCHEMA_EVENT, SCHEMA_CONTRACT)
_MAGIC: Final = 0
_HEAD: Final = struct.Struct(">bI")
# As the schemas have them: 38 digits in all.
_WHOLE_DIGITS: Final = 20
_FRACTION_DIGITS: Final = 18
_FINEST: Final = Decimal((0, (1,), -_FRACTION_DIGITS))
_EXACT: Final = decimal.Context(
    prec=_WHOLE_DIGITS + _FRACTION_DIGITS, traps=[decimal.Inexact, decimal.InvalidOperation]
)
_decode_json: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
# fastavro raises these for bytes that are no such record.
_UNREADABLE: Final = (ValueError, EOFError, KeyError, IndexError, TypeError, OverflowError)


class AvroError(ValueError):
    """A record is not as its schema says. The text says how."""


def schema_text(schema: str) -> str:
    """Return the Avro schema of records of ``schema``, such as ``ticklast/2``."""
    name = schema.replace("/", "-")
    return (resources.files("ibfeed_api") / "avro" / f"{name}.avsc").read_text(encoding="utf-8")


def is_avro(value: bytes) -> bool:
    """Whether a record's value is Avro. JSON begins with a brace."""
    return value[:1] == b"\0"


def number_of(value: bytes) -> int:
    """Return the number of the schema that a value was written with. Raises AvroError."""
    if len(value) < _HEAD.size:
        raise AvroError("it ends before the number of its schema")
    return int(_HEAD.unpack_from(value)[1])


class AvroSchema:
    """One schema, which makes Avro of JSON and JSON of Avro. ``number``: the registry's."""

    def __init__(self, text: str, number: int) -> None:
        """Raises AvroError if ``text`` is no schema of a record."""
        self.number: Final = number
        try:
            parsed = json.loads(text)
            self._fields: Final = {field["name"]: _Field(field) for field in parsed["fields"]}
            self._schema: Final = fastavro.parse_schema(parsed)
        except (*_UNREADABLE, fastavro.schema.SchemaParseException) as error:
            raise AvroError(f"schema {number} is no Avro schema of a record: {error}") from None
        self._head: Final = _HEAD.pack(_MAGIC, number)

    def encode(self, value: bytes) -> bytes:
        """Make Avro of a JSON record. Raises AvroError if a number needs more than 38 digits, or 18 after the point."""
        written = io.BytesIO()
        written.write(self._head)
        try:
            record = {name: self._fields[name].to_avro(told) for name, told in _decode_json(value).items()}
            fastavro.schemaless_writer(written, self._schema, record)
        except _UNREADABLE as error:
            raise AvroError(f"the record does not fit into its Avro schema: {error}") from None
        return written.getvalue()

    def decode(self, value: bytes) -> bytes:
        """Make JSON of an Avro record. Raises AvroError."""
        try:
            record = fastavro.schemaless_reader(io.BytesIO(value[_HEAD.size :]), self._schema, None)
        except _UNREADABLE as error:
            raise AvroError(f"the record is not as its Avro schema says: {error or 'it ends too soon'}") from None
        assert isinstance(record, dict)  # noqa: S101 - the schema is a record's
        fields = self._fields
        return msgspec.json.encode(
            {
                name: fields[name].to_json(told)
                for name, told in record.items()
                if told is not None or not fields[name].optional
            }
        )


class _Field:
    """A field of a schema, and how its values differ between JSON and Avro."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        kind = described["type"]
        kind = next(one for one in kind if one != "null") if isinstance(kind, list) else kind
        items: Any = kind["items"] if isinstance(kind, dict) and kind["type"] == "array" else None
        self.optional: Final = described.get("optional", False)
        self._decimal: Final = _is_decimal(kind)
        # Of a list of pairs: the names that Avro has for the two.
        self._pair: Final = [one["name"] for one in items["fields"]] if isinstance(items, dict) else None
        self._decimals: Final = isinstance(items, dict) and _is_decimal(items["fields"][0]["type"])

    def to_avro(self, told: Any) -> Any:
        if told is None:
            return None
        if self._decimal:
            return _decimal(told)
        if self._pair is None:
            return told
        first, second = self._pair
        if self._decimals:
            return [{first: _decimal(one), second: _decimal(other)} for one, other in told]
        return [{first: one, second: other} for one, other in told]

    def to_json(self, told: Any) -> Any:
        if told is None:
            return None
        if self._decimal:
            return _plain(told)
        if self._pair is None:
            return told
        first, second = self._pair
        if self._decimals:
            return [[_plain(one[first]), _plain(one[second])] for one in told]
        return [[one[first], one[second]] for one in told]


def _is_decimal(kind: Any) -> bool:
    return isinstance(kind, dict) and kind.get("logicalType") == "decimal"


def _decimal(told: int | Decimal) -> Decimal:
    """Return a number that fits into 38 digits, 18 of them after the point. Raises ValueError if it does not."""
    number = Decimal(told)
    if number.adjusted() >= _WHOLE_DIGITS:
        raise ValueError(f"{told} has more than {_WHOLE_DIGITS} digits before the point")
    if int(number.as_tuple().exponent) < -_FRACTION_DIGITS:
        try:
            return number.quantize(_FINEST, context=_EXACT)  # what is beyond may be zeros
        except decimal.DecimalException:
            raise ValueError(f"{told} has more than {_FRACTION_DIGITS} digits after the point") from None
    return number


def _plain(number: Decimal) -> msgspec.Raw:
    """Return a number's digits, without zeros at the end of the fraction."""
    whole, _, fraction = f"{number:f}".partition(".")
    fraction = fraction.rstrip("0")
    return msgspec.Raw(f"{whole}.{fraction}".encode() if fraction else whole.encode())
