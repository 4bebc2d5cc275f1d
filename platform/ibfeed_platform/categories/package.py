"""The part of the category schemas that users install with the package ``ibfeed``, to make ClickHouse's tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ibfeed_platform.categories.clickhouse import table_columns
from ibfeed_platform.categories.layout import document
from ibfeed_platform.categories.source import META, Category

COLUMNS_OF_A_FIELD: Final = 1 + len(META)


def package_data(categories: Iterable[Category]) -> str:
    """Return JSON: the newest version of each category that a topic carries, with its columns in ClickHouse."""
    newest = {category.category: category for category in sorted(categories, key=lambda one: one.version)}
    carried = [newest[name] for name in sorted(newest) if newest[name].streams]
    return document({"made_by": "make schemas"}, "categories", [_category(category) for category in carried])


def _category(category: Category) -> str:
    head = {"name": category.category, "version": category.version, "stream": _stream(category)}
    columns = iter(table_columns(category))
    fields = []
    for field, *own in zip(category.fields, *[columns] * COLUMNS_OF_A_FIELD, strict=True):
        shape = {"dtype": field.dtype, "unit": field.unit, "states": field.states, "nullable": field.nullable}
        told = [{"name": one.name, "kind": one.kind, "comment": one.comment} for one in own]
        fields.append(json.dumps({"name": field.name, **shape, "columns": told}))
    return document(head, "fields", fields).strip().replace("\n", "\n    ")


def _stream(category: Category) -> dict[str, Any]:
    (stream,) = category.streams
    plain: dict[str, Any] = msgspec.to_builtins(stream)
    return {name: plain[name] for name in ("topic", "versions", "keys", "constants")}
