"""All objects of a database, in the order in which they are made."""

from __future__ import annotations

from ibfeed.clickhouse import sql
from ibfeed.clickhouse.categories import categories
from ibfeed.clickhouse.ingestion import ingestion
from ibfeed.clickhouse.latest import latest_books, latest_ticks
from ibfeed.clickhouse.layout import Layout
from ibfeed.clickhouse.objects import Object
from ibfeed.clickhouse.storage import latest_contract_view, rejected_table, rows_table, rows_view

# Contracts come first, because the views of all other rows look there for units.
_ORDER = ("contract", "market_tick", "order_book", "feed_event")


def objects(layout: Layout) -> list[Object]:
    """Return what the database must have. The way from Kafka comes last, so that nothing is read too early."""
    known = categories()
    read = [known[name] for name in _ORDER if layout.topic_of(name) is not None]
    found = [rejected_table(layout)]
    for category in read:
        found += [rows_table(layout, category), rows_view(layout, category)]
        if category.name == "contract":
            found.append(latest_contract_view(layout))
        if category.name == "market_tick":
            found += latest_ticks(layout, category)
        if category.name == "order_book":
            found += latest_books(layout, category)
    for category in read:
        found += ingestion(layout, category, layout.topic_of(category.name) or "")
    return found


def create_database(layout: Layout) -> str:
    """Return the statement that makes the database."""
    return f"CREATE DATABASE IF NOT EXISTS {sql.name(layout.database)}"


def ddl(layout: Layout) -> str:
    """Return all statements that make an empty database. Each ends with a semicolon."""
    statements = [create_database(layout), *(one.create for one in objects(layout))]
    return "".join(f"{statement};\n\n" for statement in statements).rstrip("\n") + "\n"
