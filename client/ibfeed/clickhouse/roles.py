"""The roles of people who read: what a team may see. A reader writes nothing.

A role names each table and view, so that a table that comes later is not open by accident. Kafka's tables and the
rejected records are never among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from ibfeed.clickhouse import sql
from ibfeed.clickhouse.layout import Layout
from ibfeed.clickhouse.objects import Kind
from ibfeed.clickhouse.schema import objects

_SHARED: Final = ("contract", "contract_rows", "latest_contract", "feed_event", "feed_event_rows")
_TICKS: Final = ("market_tick", "market_tick_rows", "market_tick_latest", "latest_tick")
_BOOKS: Final = ("order_book", "order_book_rows", "order_book_levels", "order_book_heads", "latest_book")
_ROLES: Final = {
    "ticks_reader": _SHARED + _TICKS,
    "books_reader": _SHARED + _BOOKS,
    "reader": _SHARED + _TICKS + _BOOKS,
}


def grants(layout: Layout) -> dict[str, list[str]]:
    """Return the tables and views that each role may read."""
    there = [one.name for one in objects(layout) if one.kind is not Kind.INGEST]
    return {
        f"{layout.database}_{role}": [name for name in there if name in readable] for role, readable in _ROLES.items()
    }


def statements(layout: Layout) -> list[str]:
    """Return the statements that make the roles. They can be run again."""
    return [statement for role, tables in grants(layout).items() for statement in _role(layout, role, tables)]


def users_xml(layout: Layout) -> str:
    """Return the roles as a part of ClickHouse's users.xml, for a server whose users are kept in files."""
    lines = ["<clickhouse>", "  <roles>"]
    for role, tables in grants(layout).items():
        lines += [f"    <{role}>", "      <grants>"]
        lines += [f"        <query>{escape(_grant(layout, table))}</query>" for table in tables]
        lines += ["      </grants>", f"    </{role}>"]
    return "\n".join([*lines, "  </roles>", "</clickhouse>", ""])


def _role(layout: Layout, role: str, tables: list[str]) -> Iterator[str]:
    yield f"CREATE ROLE IF NOT EXISTS {sql.name(role)}"
    for table in tables:
        yield f"{_grant(layout, table)} TO {sql.name(role)}"


def _grant(layout: Layout, table: str) -> str:
    return f"GRANT SELECT ON {sql.name(layout.database)}.{sql.name(table)}"
