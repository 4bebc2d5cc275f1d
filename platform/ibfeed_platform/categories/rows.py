"""A stream's record as category rows, and back. Nothing of a record is lost on the way.

A record is JSON as ``codec.decode`` reads it. A row maps each column to its value: text, a whole number, a Decimal, a
list, or None.
"""

from __future__ import annotations

import decimal
from collections import ChainMap
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from ibfeed_platform.categories.source import (
    DECIMAL_DIGITS,
    DECIMAL_SCALE,
    MISSING,
    PLACEHOLDER,
    UNKNOWN_UNIT,
    Category,
    Dtype,
    Field,
    Levels,
    Stream,
)
from ibfeed_platform.categories.states import WORDS

Record = Mapping[str, Any]
Row = dict[str, Any]

JOINT: Final = "+"  # between the words of a state

_STORED: Final = decimal.Context(prec=DECIMAL_DIGITS, traps=[decimal.Inexact, decimal.InvalidOperation])
# A source may write zeros after the 18th digit. A row leaves them out, and its record has them again.
_WRITTEN: Final = decimal.Context(prec=4 * DECIMAL_DIGITS, traps=[decimal.Inexact, decimal.InvalidOperation])
_INT64: Final = range(-(2**63), 2**63)


class RowError(ValueError):
    """A record cannot become rows, or rows no record. The text names the field and the cause."""


def to_rows(category: Category, topic: str, record: Record, reference: Record | None) -> list[Row]:
    """Return the rows of a record. All records make one row, except for order books: one for each level.

    Args:
        reference: the contract's record on the topic ``contracts``; None if it is not known. Units come from it.

    Raises:
        RowError: the record is not as its schema says, or a number does not fit into 38 digits.
    """
    if reference is not None and reference["conid"] != record.get("conid", reference["conid"]):
        raise RowError(f"the reference record is of conid {reference['conid']}, the record of {record['conid']}")
    stream = category.stream(topic)
    facts = ChainMap(dict(record), dict(reference or {}))
    units = {field.name: _unit(field, facts) for field in category.fields}
    shared = {name: record.get(key) for key, name in stream.fields.items()} | stream.constants
    return [_row(category, topic, shared | part, units) for part in _parts(stream, record)]


def to_record(category: Category, topic: str, rows: Iterable[Row]) -> dict[str, Any]:
    """Return the record that the rows were made of. The rows may come from a store, in any order.

    Raises:
        RowError: a row is absent, or the rows are of several records.
    """
    stream = category.stream(topic)
    ordered = _checked(stream, list(rows))
    first = ordered[0]
    record: dict[str, Any] = {}
    for key, target in stream.keys.items():
        if isinstance(target, Levels):
            record[key] = [_level(category, row) for row in ordered if row["side"] == target.side]
            continue
        value = _restored(category.by_name[target], first)
        if value is not None or key not in stream.optional:
            record[key] = value
    return record


def _parts(stream: Stream, record: Record) -> list[Row]:
    """Return what the rows of a record do not share."""
    if not stream.levels:
        return [{}]
    parts: list[Row] = [
        {"side": side, "level": place, "price": price, "size": size}
        for key, side in stream.levels.items()
        for place, (price, size) in enumerate(record[key], 1)
    ] or [{}]  # a record without levels says something as well
    return [part | {"row_number": number, "row_count": len(parts)} for number, part in enumerate(parts, 1)]


def _row(category: Category, topic: str, told: Row, units: Mapping[str, str]) -> Row:
    values = {field.name: _value(field, told.get(field.name)) for field in category.fields}
    row: Row = {}
    for field in category.fields:
        name, value = field.name, values[field.name]
        words = WORDS[topic](name, values)
        row[name] = value
        row[f"{name}_dtype"] = _dtype(field, told.get(name))
        row[f"{name}_unit"] = units[name]
        row[f"{name}_state"] = JOINT.join(sorted(words, key=field.states.index))
    return row


def _value(field: Field, told: Any) -> Any:
    """Return a record's value in the field's dtype. Raises RowError if it has another one."""
    if told is None:
        if field.nullable:
            return None
        raise RowError(f"{field.name} has no value")
    try:
        match field.dtype:
            case Dtype.DECIMAL:
                return _decimal(told)
            case Dtype.INT64:
                return _int64(told)
            case Dtype.STRING:
                return _string(told)
            case Dtype.STRINGS:
                return [_string(item) for item in told]
            case Dtype.SPANS:
                return [{"start": _int64(start), "end": _int64(end)} for start, end in told]
    except (TypeError, ValueError) as error:
        raise RowError(f"{field.name} is no {field.dtype}: {error}") from error


def _decimal(told: Any) -> Decimal:
    if isinstance(told, bool) or not isinstance(told, (int, Decimal)):
        raise TypeError(f"{told!r} is not exact; read JSON with codec.decode")
    number = Decimal(told)
    if not number.is_finite():
        raise ValueError(f"{told} is no number")
    try:
        stored = number.quantize(_place(DECIMAL_SCALE), context=_STORED)
    except decimal.DecimalException:
        raise ValueError(f"{told} needs more than {DECIMAL_DIGITS} digits, {DECIMAL_SCALE} after the point") from None
    return stored.quantize(_place(min(_scale(number), DECIMAL_SCALE)), context=_STORED)


def _int64(told: Any) -> int:
    if isinstance(told, bool) or not isinstance(told, int):
        raise TypeError(f"{told!r} is no whole number")
    if told not in _INT64:
        raise ValueError(f"{told} does not fit into 64 bits")
    return told


def _string(told: Any) -> str:
    if not isinstance(told, str):
        raise TypeError(f"{told!r} is no text")
    return told


def _dtype(field: Field, told: Any) -> str:
    """Return the dtype, of a decimal with the digits after the point that were written. Stores have all 18 always."""
    if field.dtype is Dtype.DECIMAL and told is not None:
        return f"{field.dtype}({_scale(Decimal(told))})"
    return str(field.dtype)


def _scale(number: Decimal) -> int:
    """Return how many digits after the point a number was written with."""
    return len(f"{number:f}".partition(".")[2])


def _place(scale: int) -> Decimal:
    """Return one unit of the last of ``scale`` digits after the point."""
    return Decimal((0, (1,), -scale))


def _unit(field: Field, facts: Mapping[str, Any]) -> str:
    unit = field.unit
    for name in PLACEHOLDER.findall(unit):
        fact = facts.get(name)
        if fact is None:
            return UNKNOWN_UNIT
        unit = unit.replace(f"{{{name}}}", str(fact))
    return unit


def _checked(stream: Stream, rows: list[Row]) -> list[Row]:
    """Return the rows of one record in their order."""
    if not stream.levels:
        if len(rows) != 1:
            raise RowError(f"{len(rows)} rows for a record of {stream.topic}, which has one")
        return rows
    ordered = sorted(rows, key=lambda row: int(row["row_number"]))
    whole = [*range(1, ordered[0]["row_count"] + 1)] if ordered else None
    if [row["row_number"] for row in ordered] != whole or len({(row["instrument_id"], row["seq"]) for row in rows}) > 1:
        raise RowError("the rows are not all those of one record")
    return ordered


def _level(category: Category, row: Row) -> list[Any]:
    return [_restored(category.by_name[name], row) for name in ("price", "size")]


def _restored(field: Field, row: Row) -> Any:
    """Return the record's value. Not every store has null for each type, so the state tells whether there is one."""
    value = row[field.name]
    if MISSING in row[f"{field.name}_state"].split(JOINT):
        return None
    match field.dtype:
        case Dtype.DECIMAL:
            return _digits(field, value, row[f"{field.name}_dtype"])
        case Dtype.SPANS:
            return [[span["start"], span["end"]] for span in value]
        case _:
            return value


def _digits(field: Field, value: Any, dtype: str) -> Decimal:
    """Return a store's decimal, text or whole number with the digits that the dtype tells."""
    scale = int(dtype.removeprefix(f"{Dtype.DECIMAL}(").removesuffix(")"))
    try:
        return Decimal(value).quantize(_place(scale), context=_WRITTEN)
    except decimal.DecimalException:
        raise RowError(f"{field.name} has a value of {value}, which is no {dtype}") from None
