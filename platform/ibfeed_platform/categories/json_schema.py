"""JSON Schema (draft 2020-12) of a category row."""

from __future__ import annotations

import json
from typing import Any, Final

from ibfeed_platform.categories.columns import Column, columns_of
from ibfeed_platform.categories.layout import document
from ibfeed_platform.categories.source import PLACEHOLDER, Category, Dtype, Field

_INT64: Final = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_VALUES: Final[dict[Dtype, dict[str, Any]]] = {
    Dtype.STRING: {"type": "string"},
    Dtype.INT64: _INT64,
    Dtype.DECIMAL: {"type": "number"},
    Dtype.STRINGS: {"type": "array", "items": {"type": "string"}},
    Dtype.SPANS: {
        "type": "array",
        "items": {"type": "object", "required": ["start", "end"], "properties": {"start": _INT64, "end": _INT64}},
    },
}


def json_schema(category: Category) -> str:
    """Return the schema's text. Columns of later versions are allowed, as in the schemas of the topics."""
    columns = columns_of(category)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:ibfeed:category:{category.category}:{category.version}",
        "title": category.name,
        "description": category.meaning,
        "type": "object",
        "required": [column.name for column in columns if not column.nullable],
    }
    return document(head, "properties", {column.name: json.dumps(_property(column)) for column in columns})


def _property(column: Column) -> dict[str, Any]:
    match column.meta:
        case "dtype":
            schema = _dtype(column.field)
        case "unit":
            schema = _unit(column.field)
        case "state":
            schema = {"type": "string", "pattern": _states(column.field)}
        case _:
            schema = _VALUES[column.field.dtype]
    if column.nullable:
        # A row of an older version lacks the columns of a field that was added since.
        schema = _or_null(schema)
    return {**schema, "description": column.meaning}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "const" in schema:
        return {"enum": [schema["const"], None]}
    return {**schema, "type": [schema["type"], "null"]}


def _dtype(field: Field) -> dict[str, Any]:
    if field.dtype is Dtype.DECIMAL:
        return {"type": "string", "pattern": rf"^{Dtype.DECIMAL}(\([0-9]+\))?$"}
    return {"const": str(field.dtype)}


def _unit(field: Field) -> dict[str, Any]:
    if PLACEHOLDER.search(field.unit):
        return {"type": "string", "minLength": 1}
    return {"const": field.unit}


def _states(field: Field) -> str:
    """Return the pattern of a state: some of the field's words, each at most once, in their order."""
    optional = "".join(rf"({state}(\+(?=.)|$))?" for state in field.states)
    return f"^(?=.){optional}$"
