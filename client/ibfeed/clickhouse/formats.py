"""How Kafka's table reads records: as JSON, or as Avro with the schemas of a registry.

Either way each value becomes a text, of which ``expressions`` makes the columns. So both lead to the same rows, but for
zeros at the end of a fraction: Avro does not have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ibfeed.clickhouse import sql
from ibfeed.clickhouse.categories import Category
from ibfeed.clickhouse.layout import IN_COLLECTION, Layout

_NUMBER: Final = "Decimal(38, 18)"
_JSON: Final = {
    "kafka_format": "'JSONEachRow'",
    "input_format_json_read_numbers_as_strings": "1",
    "input_format_json_read_arrays_as_strings": "1",
    "input_format_null_as_default": "0",
    "input_format_skip_unknown_fields": "1",
}
_AVRO: Final = {
    "kafka_format": "'AvroConfluent'",
    "input_format_avro_allow_missing_fields": "1",  # a record of an older schema lacks keys that came later
}
# ClickHouse's words where a registry does not answer, refuses, or does not know the schema.
_NO_SCHEMA: Final = "position(_error, 'while fetching schema id') > 0"


@dataclass(frozen=True)
class Reading:
    """The reading of one topic.

    Args:
        settings: of Kafka's table.
        columns: by key of a record, the type in Kafka's table.
        texts: by key, SQL of the text. Keys of levels have none.
        level: SQL of the text of a level's price or size, with ``{}`` for it.
        other: whether a record is of the other format, and SQL of the text that says so.
        stops: when the reading stops, and why; empty: never. The records wait in Kafka then.
    """

    settings: Mapping[str, str]
    columns: Mapping[str, str]
    texts: Mapping[str, str]
    level: str
    other: tuple[str, str]
    stops: tuple[str, str] | None = None


def reading(layout: Layout, category: Category) -> Reading:
    """Return how a category's topic is read."""
    return _avro(layout, category) if layout.registry else _json(category)


def _json(category: Category) -> Reading:
    dtypes, levels = _dtypes(category), category.stream.levels
    kinds = {key: "Array(String)" if dtype == "list<string>" else "Nullable(String)" for key, dtype in dtypes.items()}
    kinds |= dict.fromkeys(levels, "Array(Tuple(String, String))")
    return Reading(
        settings=_JSON,
        columns=_ordered(category, kinds),
        texts={key: sql.name(key) for key in dtypes},
        level="{}",
        other=("startsWith(_raw_message, '\\0')", sql.text("it is Avro: name the feed's schema registry")),
    )


def _avro(layout: Layout, category: Category) -> Reading:
    dtypes, levels = _dtypes(category), category.stream.levels
    of_dtype = {
        "string": "Nullable(String)",
        "int64": "Nullable(Int64)",
        "decimal": f"Nullable({_NUMBER})",
        "list<string>": "Array(String)",
        "list<span>": "Array(Tuple(start Int64, end Int64))",
    }
    kinds = {key: of_dtype[dtype] for key, dtype in dtypes.items()}
    kinds |= dict.fromkeys(levels, f"Array(Tuple(price {_NUMBER}, size {_NUMBER}))")
    in_table = (
        {} if layout.registry == IN_COLLECTION else {"format_avro_schema_registry_url": sql.text(layout.registry)}
    )
    where = "of the named collection" if layout.registry == IN_COLLECTION else layout.registry
    told = f"the schema registry {where} gives no schema: start it, or correct its URL; the records wait in Kafka"
    return Reading(
        settings=_AVRO | in_table,
        columns=_ordered(category, kinds),
        texts={key: _text_of(sql.name(key), dtype) for key, dtype in dtypes.items()},
        level="toString({})",
        other=("startsWith(_raw_message, '{')", sql.text("it is JSON, of before the feed wrote Avro")),
        # ClickHouse would take this for an error of the record, and go on behind it.
        stops=(_NO_SCHEMA, sql.text(told)),
    )


def _text_of(column: str, dtype: str) -> str:
    if dtype == "list<span>":
        # No worker writes an empty list, so an empty one stands for none: an array cannot be null in ClickHouse.
        spans = f"arrayMap(one -> concat('[', toString(one.start), ',', toString(one.end), ']'), {column})"
        return f"if(empty({column}), NULL, concat('[', arrayStringConcat({spans}, ','), ']'))"
    return column if dtype in ("string", "list<string>") else f"toString({column})"


def _dtypes(category: Category) -> dict[str, str]:
    """Return the dtype of each key that is not one of levels."""
    known = {field.name: field.dtype for field in category.fields}
    return {key: known[field] for field, key in category.stream.key_of.items()}


def _ordered(category: Category, kinds: Mapping[str, str]) -> dict[str, str]:
    return {key: kinds[key] for key in category.stream.keys}
