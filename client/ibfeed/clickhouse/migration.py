"""The steps that bring a database to what it should be. They are decided without I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ibfeed.clickhouse import sql
from ibfeed.clickhouse.errors import ClickHouseRefusedError
from ibfeed.clickhouse.layout import Layout
from ibfeed.clickhouse.objects import MARK, Kind, Object

_PASSING = ("MaterializedView", "Kafka", "Null")  # engines of what holds no rows


@dataclass(frozen=True)
class Present:
    """The objects of a database as they are.

    Args:
        comments: of each table and view.
        engines: of each table and view.
        columns: type of each column of each table.
    """

    comments: Mapping[str, str] = field(default_factory=dict)
    engines: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A statement, and what it does in words for a person. Empty words: it belongs to the step before."""

    statement: str
    told: str = ""


def plan(layout: Layout, wanted: Sequence[Object], present: Present) -> list[Step]:
    """Return the steps that lead from what is present to what is wanted; none if nothing is to do.

    Nothing is lost: Kafka keeps the records, and the group's offset, while the way from Kafka is made again.

    Raises:
        ClickHouseRefusedError: a table is not ours, or has a column of another type.
    """
    _refuse(layout, wanted, present)
    steps = [step for one in wanted if one.kind is not Kind.INGEST for step in _kept(layout, one, present)]
    ways = [one for one in wanted if one.kind is Kind.INGEST]
    names = {one.name for one in wanted}
    left = [name for name in _own(present) if name not in names and present.engines[name] in _PASSING]
    if not left and all(present.comments.get(one.name) == one.comment for one in ways):
        return steps
    # All ways stop together. Else a table of latest values would miss what comes in while it is filled.
    stopped = [name for name in [*(one.name for one in reversed(ways)), *left] if name in present.comments]
    # Without SYNC. With it ClickHouse waited 10 to 16 s for the reading to end, and used a whole core meanwhile.
    drops = [Step(f"DROP TABLE IF EXISTS {_full(layout, name)}") for name in _last_first(stopped, present)]
    told = "the way from Kafka is made again" if drops else "the way from Kafka is made"
    return [*drops, *steps, *(Step(one.create, told if one is ways[0] else "") for one in ways)]


def _refuse(layout: Layout, wanted: Sequence[Object], present: Present) -> None:
    for one in wanted:
        if one.name in present.comments and not present.comments[one.name].startswith(f"{MARK} "):
            raise ClickHouseRefusedError(
                f"{layout.database}.{one.name} is there, and ibfeed did not make it: name another database, or drop it"
            )
        for column in one.columns:
            kind = present.columns.get(one.name, {}).get(column.name)
            if kind is not None and kind != column.kind:
                raise ClickHouseRefusedError(
                    f"{layout.database}.{one.name}.{column.name} is {kind}, and should be {column.kind}:"
                    " name another database, which is filled from what Kafka still has, or alter the column by hand"
                )


def _kept(layout: Layout, one: Object, present: Present) -> Iterator[Step]:
    """Return the steps for a table that holds rows, or for a view."""
    if one.name not in present.comments:
        yield Step(one.create, f"{one.name}: made")
        if one.fill:
            named = ", ".join(sql.name(column.name) for column in one.columns if not column.fixed)
            yield Step(f"INSERT INTO {_full(layout, one.name)} ({named}) {one.fill}")
        return
    if one.kind is Kind.VIEW:
        if present.comments[one.name] != one.comment:
            yield Step(one.create, f"{one.name}: made again")
        return
    before = ""
    for column in one.columns:
        if column.name not in present.columns[one.name]:
            place = f" AFTER {sql.name(before)}" if before else " FIRST"
            add = f"ALTER TABLE {_full(layout, one.name)} ADD COLUMN {column.definition}{place}"
            yield Step(add, f"{one.name}: column {column.name} added")
        before = column.name
    if present.comments[one.name] != one.comment:
        change = f"MODIFY COMMENT {sql.text(one.comment)}, MODIFY TTL {one.ttl}"
        yield Step(f"ALTER TABLE {_full(layout, one.name)} {change}", f"{one.name}: rows stay {layout.ttl_days} days")


def _own(present: Present) -> list[str]:
    return [name for name, comment in present.comments.items() if comment.startswith(f"{MARK} ")]


def _last_first(names: Sequence[str], present: Present) -> list[str]:
    """Return the names with the views that read Kafka first: they stop the reading."""
    return sorted(names, key=lambda name: (not name.endswith("_ingest"), present.engines[name] != "Kafka"))


def _full(layout: Layout, name: str) -> str:
    return f"{sql.name(layout.database)}.{sql.name(name)}"
