"""Iceberg schema of a category row, as JSON of the Iceberg specification (appendix C)."""

from __future__ import annotations

import json
from typing import Any, Final

from ibfeed_platform.categories.columns import ELEMENT, SPAN_END, SPAN_START, Column, columns_of, number_of
from ibfeed_platform.categories.layout import document
from ibfeed_platform.categories.source import DECIMAL_DIGITS, DECIMAL_SCALE, Category, Dtype

_PRIMITIVES: Final = {
    Dtype.STRING: "string",
    Dtype.INT64: "long",
    Dtype.DECIMAL: f"decimal({DECIMAL_DIGITS}, {DECIMAL_SCALE})",
}


def iceberg(category: Category) -> str:
    """Return the schema's text. Every id derives from the id of a field, so it is the same in all versions."""
    by_name = category.by_name
    head = {
        "type": "struct",
        "schema-id": category.version,
        "identifier-field-ids": [number_of(by_name[name], 0) for name in category.key],
    }
    return document(head, "fields", [json.dumps(_field(column)) for column in columns_of(category)])


def _field(column: Column) -> dict[str, Any]:
    return {
        "id": column.number,
        "name": column.name,
        "required": not column.nullable,
        "type": _kind(column),
        "doc": column.meaning,
    }


def _kind(column: Column) -> Any:
    if (primitive := _PRIMITIVES.get(column.dtype)) is not None:
        return primitive
    return {
        "type": "list",
        "element-id": number_of(column.field, ELEMENT),
        "element-required": True,
        "element": "string" if column.dtype is Dtype.STRINGS else _span(column),
    }


def _span(column: Column) -> dict[str, Any]:
    ends = {"start": SPAN_START, "end": SPAN_END}
    return {
        "type": "struct",
        "fields": [
            {"id": number_of(column.field, place), "name": name, "required": True, "type": "long"}
            for name, place in ends.items()
        ],
    }
