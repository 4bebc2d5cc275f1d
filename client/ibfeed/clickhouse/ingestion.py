"""The way from Kafka to the rows: Kafka's table, a view that reads it, a table without rows, and two views behind it.

::

    market_tick_queue ─→ market_tick_parsed ─┬→ market_tick_rows
       (Kafka engine)       (Null engine)    └→ rejected

ClickHouse reads Kafka only once all that hangs on the queue is there. It commits an offset after all was written.
So a record goes to the rows or to ``rejected``, whichever view is made first.
"""

from __future__ import annotations

from typing import Final

from ibfeed.clickhouse import expressions, sql
from ibfeed.clickhouse.categories import Category
from ibfeed.clickhouse.formats import Reading, reading
from ibfeed.clickhouse.layout import Layout
from ibfeed.clickhouse.objects import Kind, Object

# A flush of 100 ms and short waits bring a row to its table within about 0.1 s. With ClickHouse's own it takes 1 s.
_SETTINGS: Final = {
    "kafka_handle_error_mode": "'stream'",
    "kafka_flush_interval_ms": "100",
    "kafka_poll_timeout_ms": "20",
    "kafka_consumer_reschedule_ms": "20",
}
_PART: Final = "Tuple(side Nullable(String), level Nullable(String), price Nullable(String), size Nullable(String))"
_META: Final = {
    "kafka_partition": "UInt64",
    "kafka_offset": "UInt64",
    "kafka_time": "DateTime64(3, 'UTC')",
    "record_schema": "String",
    "record_worker": "String",
    "record_epoch": "Nullable(Int64)",
    "problem": "String",
}
META: Final = tuple(name for name in _META if name != "problem")


def ingestion(layout: Layout, category: Category, topic: str) -> list[Object]:
    """Return the objects between a topic and the rows of its category, in the order in which they are made."""
    database = sql.name(layout.database)

    def made(name: str, text: str) -> Object:
        head, _, rest = text.partition("{name}")
        whole = f"{head}{database}.{sql.name(name)}{rest}"
        return Object(name, Kind.INGEST, whole, chain=category.name)

    parsed, rows = f"{database}.{sql.name(f'{category.name}_parsed')}", f"{category.name}_rows"
    read = reading(layout, category)
    return [
        made(f"{category.name}_parsed", f"CREATE TABLE {{name}} (\n{_parsed_columns(category)}\n) ENGINE = Null"),
        made(
            f"{category.name}_store",
            f"CREATE MATERIALIZED VIEW {{name}} TO {database}.{sql.name(rows)} AS\n{_store(layout, category, parsed)}",
        ),
        made(
            f"{category.name}_reject",
            f"CREATE MATERIALIZED VIEW {{name}} TO {database}.`rejected` AS\n"
            f"SELECT {sql.text(topic)} AS topic, kafka_partition, kafka_offset, kafka_time, record_worker, problem,\n"
            f"    now64(3) AS inserted_time\n"
            f"FROM {parsed} WHERE problem != ''",
        ),
        made(
            f"{category.name}_queue",
            f"CREATE TABLE {{name}} (\n{_queue_columns(read)}\n) ENGINE = {_engine(layout, category, topic, read)}",
        ),
        made(
            f"{category.name}_ingest",
            f"CREATE MATERIALIZED VIEW {{name}} TO {parsed} AS\n{_ingest(layout, category, read)}",
        ),
    ]


def _engine(layout: Layout, category: Category, topic: str, read: Reading) -> str:
    told = {
        "kafka_broker_list": sql.text(layout.servers),
        "kafka_topic_list": sql.text(topic),
        "kafka_group_name": sql.text(layout.group_of(category.name)),
    }
    settings = ", ".join(f"{name} = {value}" for name, value in {**told, **_SETTINGS, **read.settings}.items())
    collection = f"({sql.name(layout.collection)})" if layout.collection else ""
    return f"Kafka{collection}\nSETTINGS {settings}"


def _queue_columns(read: Reading) -> str:
    return sql.indented(f"{sql.name(key)} {kind}" for key, kind in read.columns.items())


def _parsed_columns(category: Category) -> str:
    levels = category.stream.levels
    lists = {category.stream.key_of.get(field.name) for field in category.fields if field.dtype == "list<string>"}
    kinds = {
        expressions.PREFIX + key: "Array(String)" if key in lists else "Nullable(String)"
        for key in category.stream.keys
        if key not in levels
    }
    if levels:
        kinds["json_levels"] = f"Array({_PART})"
    return sql.indented(f"{sql.name(name)} {kind}" for name, kind in (kinds | _META).items())


def _ingest(layout: Layout, category: Category, read: Reading) -> str:
    """Return the SELECT that reads a record and its headers, and says whether it can be stored."""
    levels = category.stream.levels
    columns = [f"{read.texts[key]} AS {expressions.PREFIX}{key}" for key in category.stream.keys if key not in levels]
    if levels:
        columns.append(f"{_levels(levels, read)} AS json_levels")
    epoch = "toInt64OrNull(header['epoch'])"
    columns += [
        "_partition AS kafka_partition",
        "_offset AS kafka_offset",
        "ifNull(_timestamp_ms, now64(3)) AS kafka_time",
        "header['schema'] AS record_schema",
        "header['worker'] AS record_worker",
        f"{epoch} AS record_epoch",
        f"{_problem(category, read)} AS problem",
    ]
    queue = f"{sql.name(layout.database)}.{sql.name(f'{category.name}_queue')}"
    header = "WITH mapFromArrays(_headers.name, _headers.value) AS header\n"
    return f"{header}SELECT\n{sql.indented(columns)}\nFROM {queue}{_where(layout, category, read)}"


def _where(layout: Layout, category: Category, read: Reading) -> str:
    conditions, ours = [], "record_worker != ''"
    # The topic of contracts is a table that feeds share: the one that wrote a contract last need not be this one.
    if layout.feed and category.name != "contract":
        feed = "arrayStringConcat(arrayPopBack(splitByChar('-', record_worker)), '-')"  # workers are called energy-0
        ours = f"{feed} = {sql.text(layout.feed)}"
        conditions.append(f"(record_worker = '' OR {ours})")
    if read.stops is not None:
        when, why = read.stops
        conditions.insert(0, f"throwIf({ours} AND {when}, {why}) = 0")
    return f"\nWHERE {' AND '.join(conditions)}" if conditions else ""


def _problem(category: Category, read: Reading) -> str:
    cases = [
        (f"_error != '' AND {read.other[0]}", read.other[1]),
        ("_error != ''", "concat('it is not as its schema says: ', _error)"),
        ("record_worker = ''", sql.text("it has no header worker: is the topic ibfeed's own?")),
        (
            f"record_schema NOT IN ({', '.join(sql.text(one) for one in category.stream.schemas)})",
            "concat('schema ', record_schema, ' is not known: upgrade ibfeed, and run ibfeed clickhouse apply')",
        ),
    ]
    if category.name in ("market_tick", "order_book"):
        cases.append(("isNull(record_epoch)", sql.text("it has no header epoch")))
    told = ", ".join(f"{when}, {text}" for when, text in cases)
    return f"multiIf({told}, {expressions.problem(category)})"


def _levels(levels: dict[str, str], read: Reading) -> str:
    price, size = read.level.format("one.1"), read.level.format("one.2")
    sides = ", ".join(
        f"arrayMap((one, place) -> ({sql.text(side)}, toString(place), {price}, {size}), {sql.name(key)},"
        f" arrayEnumerate({sql.name(key)}))"
        for key, side in levels.items()
    )
    whole = f"CAST(arrayConcat({sides}), {sql.text(f'Array({_PART})')})"
    nothing = f"CAST([(NULL, NULL, NULL, NULL)], {sql.text(f'Array({_PART})')})"
    return f"if({' AND '.join(f'empty({sql.name(key)})' for key in levels)}, {nothing}, {whole})"


def _store(layout: Layout, category: Category, parsed: str) -> str:
    """Return the SELECT that makes category rows of what was read."""
    columns = [f"{one.sql} AS {sql.name(one.name)}" for one in expressions.columns(category) if not one.fixed]
    source = parsed
    if category.stream.levels:
        parts = ", ".join(f"part.{name} AS json_{name}" for name in expressions.LEVEL_PARTS)
        source = (
            f"(\n    SELECT *, {parts},\n"
            "        toString(place) AS json_row_number, toString(length(json_levels)) AS json_row_count\n"
            f"    FROM {parsed} ARRAY JOIN json_levels AS part, arrayEnumerate(json_levels) AS place\n)"
        )
    # A row that is past its time would open a partition, only to be deleted again.
    fresh = "" if category.name == "contract" else f" AND kafka_time > now() - INTERVAL {layout.ttl_days} DAY"
    shown = sql.indented([*columns, *META, "now64(3) AS inserted_time"])
    return f"SELECT\n{shown}\nFROM {source}\nWHERE problem = ''{fresh}"
