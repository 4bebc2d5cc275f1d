"""The tables that hold rows, and the views by which they are read.

A table holds each record once, however often Kafka delivers it. Copies have the same sorting key, which ends with
Kafka's partition and offset. The key begins with the instrument and the time, by which rows are looked for. So a topic
that was deleted and made again, and counts from 0 again, replaces nothing.
"""

from __future__ import annotations

from typing import Final

from ibfeed.clickhouse import sql
from ibfeed.clickhouse.categories import Category
from ibfeed.clickhouse.expressions import CURRENCY, UNKNOWN_UNIT, columns
from ibfeed.clickhouse.layout import Layout
from ibfeed.clickhouse.objects import Kind, Object, TableColumn

_INSTRUMENT: Final = ("source_system", "instrument_id")
_PLACE: Final = ("kafka_partition", "kafka_offset")
SORTED: Final = {
    "market_tick": (*_INSTRUMENT, "event_time", *_PLACE),
    "order_book": (*_INSTRUMENT, "event_time", *_PLACE, "row_number"),
    "feed_event": ("source_system", "recorded_time", *_PLACE),
    "contract": (*_INSTRUMENT, "recorded_time", *_PLACE),
}
RECORD: Final = (
    TableColumn("kafka_partition", "UInt64", "Partition of the record in Kafka."),
    TableColumn("kafka_offset", "UInt64", "Offset of the record in its partition."),
    TableColumn("kafka_time", "DateTime64(3, 'UTC')", "Kafka's time of the record. It decides how long the row stays."),
    TableColumn("record_schema", "LowCardinality(String)", "Header schema: the version of the record."),
    TableColumn("record_worker", "LowCardinality(String)", "Header worker: the pod that wrote the record."),
    TableColumn("record_epoch", "Nullable(Int64)", "Header epoch, of the assignment. An instrument's highest counts."),
)
INSERTED: Final = TableColumn("inserted_time", "DateTime64(3, 'UTC')", "When the row was written, or a copy of it.")
_REJECTED: Final = (
    TableColumn("topic", "LowCardinality(String)", "Topic of the record."),
    *RECORD[:3],
    TableColumn("record_worker", "LowCardinality(String)", "Header worker: the pod that wrote the record."),
    TableColumn("problem", "String", "Why the record is not stored."),
)


def row_columns(category: Category) -> tuple[TableColumn, ...]:
    """Return the columns of the table that holds a category's rows."""
    fixed = {one.name: one.sql for one in columns(category) if one.fixed}
    shown = [TableColumn(one.name, one.kind, one.comment, fixed.get(one.name, "")) for one in category.columns]
    return (*shown, *RECORD, INSERTED)


def rows_table(layout: Layout, category: Category) -> Object:
    """Return the table that holds a category's rows."""
    lasting = category.name == "contract"  # reference data are few, and tell the units of all other rows
    text = _table(
        f"{sql.name(layout.database)}.{sql.name(f'{category.name}_rows')}",
        row_columns(category),
        "ReplacingMergeTree",
        SORTED[category.name],
        "" if lasting else "\nPARTITION BY toDate(kafka_time)",
        "" if lasting else "\nSETTINGS ttl_only_drop_parts = 1",
    )
    return Object(f"{category.name}_rows", Kind.STORE, text, row_columns(category), "" if lasting else ttl(layout))


def rejected_table(layout: Layout) -> Object:
    """Return the table of the records that are not stored, with the reason."""
    text = _table(
        f"{sql.name(layout.database)}.`rejected`",
        (*_REJECTED, INSERTED),
        "ReplacingMergeTree",
        ("topic", "kafka_time", *_PLACE),
    )
    return Object("rejected", Kind.STORE, text, (*_REJECTED, INSERTED), ttl(layout))


def rows_view(layout: Layout, category: Category) -> Object:
    """Return the view of a category's rows: each record once, and each price in the contract's currency."""
    own = f"{sql.name(layout.database)}.{sql.name(category.name)}"
    rows = f"{sql.name(layout.database)}.{sql.name(f'{category.name}_rows')}"
    return Object(category.name, Kind.VIEW, f"CREATE OR REPLACE VIEW {own} AS\n{read(layout, category, rows)}")


def latest_contract_view(layout: Layout) -> Object:
    """Return the view of what is known of each contract now."""
    database = sql.name(layout.database)
    newest = "ORDER BY recorded_time DESC, kafka_offset DESC LIMIT 1 BY source_system, instrument_id"
    text = f"CREATE OR REPLACE VIEW {database}.`latest_contract` AS\nSELECT * FROM {database}.`contract`\n{newest}"
    return Object("latest_contract", Kind.VIEW, text)


def read(layout: Layout, category: Category, table: str) -> str:
    """Return the SELECT of a table's rows without copies, with the units of prices."""
    own_currency = any(field.name == "currency" for field in category.fields)
    open_units = {field.columns[2].name for field in category.fields if field.unit == CURRENCY and not own_currency}
    shown = [
        f"ifNull(contracts.currency, {sql.text(UNKNOWN_UNIT)}) AS {sql.name(name)}"
        if name in open_units
        else f"stored.{sql.name(name)} AS {sql.name(name)}"
        for name in (one.name for one in row_columns(category))
    ]
    join = ""
    if open_units:
        contracts = f"SELECT source_system, instrument_id, currency FROM {sql.name(layout.database)}.`latest_contract`"
        join = (
            f"\nLEFT ANY JOIN ({contracts}) AS contracts\n"
            "    ON contracts.source_system = stored.source_system AND contracts.instrument_id = stored.instrument_id"
        )
    return f"SELECT\n{sql.indented(shown)}\nFROM {table} AS stored FINAL{join}"


def ttl(layout: Layout) -> str:
    """Return the TTL of rows. It is computed in DateTime64, since a DateTime wraps round in the year 2106."""
    return f"kafka_time + INTERVAL {layout.ttl_days} DAY"


def _table(
    name: str,
    columns: tuple[TableColumn, ...],
    engine: str,
    key: tuple[str, ...],
    partition: str = "",
    settings: str = "",
) -> str:
    # A granule holds rows of one instrument and a short time, so this index finds what was written last.
    index = "INDEX inserted inserted_time TYPE minmax GRANULARITY 1"
    lines = sql.indented([*(one.definition for one in columns), index])
    head = f"CREATE TABLE {name} (\n{lines}\n) ENGINE = {engine}{partition}"
    return f"{head}\nORDER BY ({', '.join(key)}){{ttl}}{settings}"
