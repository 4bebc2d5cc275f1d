"""Protobuf schema of a category row. A field's number is the column's, as in Iceberg."""

from __future__ import annotations

from typing import Final

from ibfeed_platform.categories.columns import Column, columns_of
from ibfeed_platform.categories.source import Category, Dtype

# Protobuf has no decimal, and text keeps all digits: 71.90.
_KINDS: Final = {
    Dtype.STRING: "string",
    Dtype.INT64: "int64",
    Dtype.DECIMAL: "string",
    Dtype.STRINGS: "repeated string",
    Dtype.SPANS: "repeated Span",
}
_LISTS: Final = (Dtype.STRINGS, Dtype.SPANS)


def protobuf(category: Category) -> str:
    """Return the text of a .proto file with one message."""
    columns = columns_of(category)
    spans = any(column.dtype is Dtype.SPANS for column in columns)
    lines = [
        'syntax = "proto3";',
        "",
        f"package ibfeed.categories.{category.category}.v{category.version};",
        "",
        f"// {category.meaning}",
        f"message {category.title} {{",
        *(["  message Span {", "    int64 start = 1;", "    int64 end = 2;", "  }", ""] if spans else []),
    ]
    for column in columns:
        if not column.meta:
            lines.append(f"  // {column.meaning}")
        lines.append(f"  {_kind(column)} {column.name} = {column.number};")
    return "\n".join([*lines, "}", ""])


def _kind(column: Column) -> str:
    """Return the type. A list is never ``optional``: its state tells whether it has a value."""
    kind = _KINDS[column.dtype]
    return f"optional {kind}" if column.nullable and column.dtype not in _LISTS else kind
