"""Avro schema of a category row. Over versions, a reader finds columns by their names."""

from __future__ import annotations

import json
from typing import Any, Final

from ibfeed_platform.categories.columns import Column, columns_of
from ibfeed_platform.categories.layout import document
from ibfeed_platform.categories.source import DECIMAL_DIGITS, DECIMAL_SCALE, Category, Dtype

NAMESPACE: Final = "ibfeed.categories"

DECIMAL: Final = {"type": "bytes", "logicalType": "decimal", "precision": DECIMAL_DIGITS, "scale": DECIMAL_SCALE}


def avro(category: Category) -> str:
    """Return the schema's text. Its name has no version, for Avro compares names when it reads older rows."""
    head = {"type": "record", "name": category.title, "namespace": NAMESPACE, "doc": category.meaning}
    return document(head, "fields", [json.dumps(_field(column)) for column in columns_of(category)])


def _field(column: Column) -> dict[str, Any]:
    if column.nullable:
        kind = ["null", kind_of(column.name, column.dtype)]
        return {"name": column.name, "type": kind, "default": None, "doc": column.meaning}
    return {"name": column.name, "type": kind_of(column.name, column.dtype), "doc": column.meaning}


def kind_of(name: str, dtype: Dtype) -> Any:
    """Return Avro's type of a dtype. ``name`` is the field's: records inside it are called after it."""
    match dtype:
        case Dtype.STRING:
            return "string"
        case Dtype.INT64:
            return "long"
        case Dtype.DECIMAL:
            return DECIMAL
        case Dtype.STRINGS:
            return {"type": "array", "items": "string"}
        case Dtype.SPANS:
            ends = [{"name": end, "type": "long"} for end in ("start", "end")]
            return {"type": "array", "items": {"type": "record", "name": f"{name}_span", "fields": ends}}
