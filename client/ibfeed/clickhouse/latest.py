"""The latest tick and the latest order book of each instrument, kept while rows come in.

The rule for readers decides what is latest: the highest epoch, and within it the highest ``seq``. Within an epoch the
event time never goes back, so no row of it is newer. A record that an old worker sent late has a lower epoch, and never
wins. A record that comes again changes nothing.

Small tables keep what a view needs:

=====================  ============================  =======================================================
table                  a row for each                 holds
=====================  ============================  =======================================================
market_tick_latest     instrument                    the tick with the highest version
order_book_levels      instrument, side, price       the newest size
order_book_heads       instrument, epoch             the newest record, snapshot and clear, and all places
=====================  ============================  =======================================================

A level counts if it is not older than the newest snapshot. A book is known if no record since then is absent. That is
seen by places: ``seq`` less what the epoch adds to it. They have 32 bits, because in ClickHouse 26.7 the function
``bitmapSubsetInRange`` finds nothing in small sets of larger numbers.
"""

from __future__ import annotations

from typing import Final

from ibfeed.clickhouse import sql
from ibfeed.clickhouse.categories import Category
from ibfeed.clickhouse.layout import Layout
from ibfeed.clickhouse.objects import Kind, Object, TableColumn
from ibfeed.clickhouse.storage import read, row_columns, ttl

_VERSION: Final = TableColumn("version", "UInt128", "Epoch times 2^64 plus seq: the highest is the latest.")
_NUMBER: Final = "bitShiftLeft(toUInt128(assumeNotNull(record_epoch)), 64) + toUInt128(seq) AS version"
_KEY: Final = ("source_system", "instrument_id")
_LEVEL_COLUMNS: Final = (*_KEY, "side", "price", "size", "record_epoch", "seq", "kafka_time")
_HEAD: Final = "Tuple(symbol String, event_time Int64, kind String, flags Array(String))"
_HEADS: Final = (
    TableColumn("source_system", "String", "The system that the data come from."),
    TableColumn("instrument_id", "Int64", "The source's own number of the instrument."),
    TableColumn("record_epoch", "Int64", "Number of the assignment."),
    TableColumn("newest", "SimpleAggregateFunction(max, Int64)", "The highest seq."),
    TableColumn("snapshot", "SimpleAggregateFunction(max, Int64)", "The seq of the newest snapshot; -1: none."),
    TableColumn("cleared", "SimpleAggregateFunction(max, Int64)", "The seq of the newest clear; -1: none."),
    TableColumn("head", f"AggregateFunction(argMax, {_HEAD}, Int64)", "What the newest record says of the whole book."),
    TableColumn("places", "AggregateFunction(groupBitmap, UInt32)", "All places within the epoch. A hole is a loss."),
    TableColumn("kafka_time", "SimpleAggregateFunction(max, DateTime64(3, 'UTC'))", "Kafka's time of the newest one."),
)
_HEADS_SELECT: Final = f"""SELECT
    source_system,
    instrument_id,
    assumeNotNull(rows.record_epoch) AS record_epoch,
    max(seq) AS newest,
    max(if(rows.kind = 'snapshot', seq, -1)) AS snapshot,
    max(if(rows.kind = 'clear', seq, -1)) AS cleared,
    argMaxState(CAST((symbol, event_time, kind, flags), {sql.text(_HEAD)}), seq) AS head,
    groupBitmapState({{place}}) AS places,
    max(rows.kafka_time) AS kafka_time
FROM {{rows}} AS rows
GROUP BY source_system, instrument_id, record_epoch"""
# One row for each instrument: its highest epoch.
_NEWEST_HEADS: Final = """SELECT
        source_system,
        instrument_id,
        record_epoch,
        max(heads.newest) AS newest,
        max(heads.snapshot) AS snapshot,
        max(heads.cleared) AS cleared,
        argMaxMerge(heads.head) AS head,
        groupBitmapMergeState(heads.places) AS places,
        snapshot > cleared
            AND bitmapCardinality(bitmapSubsetInRange(places, {place_of_snapshot}, {place_of_newest} + 1))
                = newest - snapshot + 1 AS known
    FROM {heads} AS heads
    GROUP BY source_system, instrument_id, record_epoch
    ORDER BY record_epoch DESC
    LIMIT 1 BY source_system, instrument_id"""
_BOOK: Final = """WITH
    heads AS (
    {heads}
    ),
    levels AS (
        SELECT
            heads.source_system AS source_system,
            heads.instrument_id AS instrument_id,
            arrayReverseSort(groupArrayIf({level}, side = 'bid')) AS bids,
            arraySort(groupArrayIf({level}, side = 'ask')) AS asks
        FROM {levels} AS stored FINAL
        INNER JOIN heads
            ON heads.source_system = stored.source_system AND heads.instrument_id = stored.instrument_id
        WHERE heads.known AND stored.record_epoch = heads.record_epoch
            AND stored.seq >= heads.snapshot AND stored.size > 0
        GROUP BY source_system, instrument_id
    )
SELECT
    heads.source_system AS source_system,
    heads.head.symbol AS symbol,
    heads.instrument_id AS instrument_id,
    heads.head.event_time AS event_time,
    heads.known AS known,
    if(heads.known OR heads.head.kind = 'clear', heads.head.kind, 'lost') AS reason,
    levels.bids AS bids,
    levels.asks AS asks,
    ifNull(contracts.currency, 'unknown') AS price_unit,
    'contracts' AS size_unit,
    heads.head.flags AS flags,
    heads.newest AS seq,
    heads.record_epoch AS record_epoch
FROM heads
LEFT ANY JOIN levels ON levels.source_system = heads.source_system AND levels.instrument_id = heads.instrument_id
LEFT ANY JOIN (SELECT source_system, instrument_id, currency FROM {contracts}) AS contracts
    ON contracts.source_system = heads.source_system AND contracts.instrument_id = heads.instrument_id"""


def latest_ticks(layout: Layout, tick: Category) -> list[Object]:
    """Return the table of the latest ticks, what fills it, and the view of it."""
    named = ", ".join(sql.name(one.name) for one in row_columns(tick) if not one.fixed)
    select = f"SELECT {named}, {_NUMBER} FROM {_full(layout, 'market_tick_rows')}"
    columns = (*row_columns(tick), _VERSION)
    table = _full(layout, "market_tick_latest")
    view = f"CREATE OR REPLACE VIEW {_full(layout, 'latest_tick')} AS\n{read(layout, tick, table)}"
    return [
        *_kept(layout, "market_tick_latest", columns, "ReplacingMergeTree(version)", _KEY, select),
        Object("latest_tick", Kind.VIEW, view),
    ]


def latest_books(layout: Layout, book: Category) -> list[Object]:
    """Return the tables of the latest order books, what fills them, and the view of them."""
    rows = _full(layout, "order_book_rows")
    by_name = {one.name: one for one in row_columns(book)}
    columns = (*(by_name[name] for name in _LEVEL_COLUMNS), _VERSION)
    levels = f"SELECT {', '.join(_LEVEL_COLUMNS)}, {_NUMBER} FROM {rows} WHERE isNotNull(side)"
    key = (*_KEY, "assumeNotNull(side)", "assumeNotNull(price)")
    heads = _NEWEST_HEADS.format(
        heads=_full(layout, "order_book_heads"),
        place_of_snapshot=_place("snapshot", "heads.record_epoch"),
        place_of_newest=_place("newest", "heads.record_epoch"),
    )
    view = _BOOK.format(
        heads=heads,
        level="(assumeNotNull(stored.price), assumeNotNull(stored.size))",
        levels=_full(layout, "order_book_levels"),
        contracts=_full(layout, "latest_contract"),
    )
    return [
        *_kept(layout, "order_book_levels", columns, "ReplacingMergeTree(version)", key, levels),
        *_kept(
            layout,
            "order_book_heads",
            _HEADS,
            "AggregatingMergeTree",
            (*_KEY, "record_epoch"),
            _HEADS_SELECT.format(rows=rows, place=_place("seq", "assumeNotNull(rows.record_epoch)")),
        ),
        Object("latest_book", Kind.VIEW, f"CREATE OR REPLACE VIEW {_full(layout, 'latest_book')} AS\n{view}"),
    ]


def _kept(
    layout: Layout, name: str, columns: tuple[TableColumn, ...], engine: str, key: tuple[str, ...], select: str
) -> list[Object]:
    """Return a table and the view that fills it from new rows. The same SELECT fills it from rows that are there."""
    lines = sql.indented(one.definition for one in columns)
    head = f"CREATE TABLE {_full(layout, name)} (\n{lines}\n) ENGINE = {engine}"
    text = f"{head}\nORDER BY ({', '.join(key)}){{ttl}}"
    filling = f"CREATE MATERIALIZED VIEW {_full(layout, f'{name}_fill')} TO {_full(layout, name)} AS\n{select}"
    return [
        Object(name, Kind.STORE, text, columns, ttl(layout), fill=select),
        Object(f"{name}_fill", Kind.INGEST, filling, chain=name),
    ]


def _place(seq: str, epoch: str) -> str:
    """Return SQL for the number of a record within its epoch: ``seq`` is the epoch times 2^20 plus a count."""
    return f"toUInt32(bitAnd({seq} - bitShiftLeft({epoch}, 20), 4294967295))"


def _full(layout: Layout, name: str) -> str:
    return f"{sql.name(layout.database)}.{sql.name(name)}"
