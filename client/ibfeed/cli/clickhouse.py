"""``ibfeed clickhouse``: make a feed's tables in ClickHouse, and look after them."""

from __future__ import annotations

import enum
import logging
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from ibfeed.clickhouse import Layout, Observation, Server

PASSWORD: Final = "CLICKHOUSE_PASSWORD"
_HELP: Final = f"""A feed's data in ClickHouse, which reads Kafka itself.

The options before the command say which tables there are. The password of ClickHouse's user comes from the variable
{PASSWORD}."""

app = typer.Typer(no_args_is_help=True)


class RolesForm(enum.Enum):
    """The forms of the roles of readers."""

    SQL = "sql"
    USERS_XML = "users.xml"


Url = Annotated[str, typer.Option(envvar="CLICKHOUSE_URL", help="ClickHouse's HTTP interface.")]
User = Annotated[str, typer.Option(envvar="CLICKHOUSE_USER", help="ClickHouse's user.")]


@app.callback(help=_HELP)
def layout(
    context: typer.Context,
    kafka: Annotated[str, typer.Option(envvar="KAFKA", help="Kafka's bootstrap servers, as ClickHouse reaches them.")],
    feed: Annotated[str, typer.Option(help="Name of the IbFeed. Without it the records of all feeds are stored.")] = "",
    database: Annotated[str, typer.Option(help="The database of the tables.")] = "ibfeed",
    ttl_days: Annotated[int, typer.Option(help="Days that rows stay, 1 to 90.")] = 7,
    group: Annotated[str, typer.Option(help="The consumer group. Each database needs its own.")] = "ibfeed-clickhouse",
    ticks: Annotated[str, typer.Option(help="The topic of ticks. Empty: it is not read.")] = "ticklast",
    books: Annotated[str, typer.Option(help="The topic of order books, or empty.")] = "l2-data",
    events: Annotated[str, typer.Option(help="The topic of the feed's events, or empty.")] = "feed-events",
    contracts: Annotated[str, typer.Option(help="The topic of contracts.")] = "contracts",
    collection: Annotated[
        str, typer.Option(help="A named collection of ClickHouse with more of Kafka's settings, such as passwords.")
    ] = "",
    schema_registry: Annotated[
        str,
        typer.Option(
            help="URL of the schema registry of a feed that writes Avro, as ClickHouse reaches it; or `collection`: the"
            " named collection has it as format_avro_schema_registry_url."
        ),
    ] = "",
) -> None:
    from ibfeed.clickhouse import Layout
    from ibfeed.stream import Topics

    topics = Topics(ticks or None, books or None, events or None, contracts or None)
    context.obj = Layout(kafka, database, topics, feed, group, ttl_days, collection, schema_registry)
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # our own errors tell the same


@app.command("ddl")
def print_ddl(
    context: typer.Context,
    form: Annotated[RolesForm | None, typer.Option("--roles", help="Print the roles of readers instead.")] = None,
) -> None:
    """Print the statements that make the tables and views."""
    from ibfeed.clickhouse import ddl, roles

    if form is RolesForm.USERS_XML:
        print(roles.users_xml(context.obj), end="")
    elif form is RolesForm.SQL:
        print("".join(f"{statement};\n" for statement in roles.statements(context.obj)), end="")
    else:
        print(ddl(context.obj), end="")


@app.command()
def apply(
    context: typer.Context,
    url: Url = "http://localhost:8123",
    user: User = "default",
    with_roles: Annotated[bool, typer.Option("--roles", help="Make the roles of readers, too.")] = False,
) -> None:
    """Make what is missing, and bring the rest up to date. A second run changes nothing."""
    server = _server(url, user)
    for done in server.apply(context.obj) or ["nothing to do"]:
        print(done)
    if with_roles:
        server.apply_roles(context.obj)
        print("roles: made")


@app.command()
def check(context: typer.Context, url: Url = "http://localhost:8123", user: User = "default") -> None:
    """Show how far the tables are, and what is wrong. The exit code is 1 if something is."""
    from ibfeed.clickhouse import findings, read_categories

    seen = _server(url, user).observe(context.obj, {})
    print("\n".join(table(context.obj, seen, time.time())))
    found = findings(context.obj, seen, read_categories(context.obj))
    for one in found:
        print(f"PROBLEM: {one.cause}\n  {one.remedy}")
    if found:
        raise typer.Exit(1)


def table(of: Layout, seen: Observation, now: float) -> Iterator[str]:
    """Yield the lines of a table: of each category its rows, the age of its newest event, and its lag.

    Args:
        now: seconds since 1970.
    """
    from ibfeed.clickhouse import read_categories

    line = "{:<12} {:>12} {:>14} {:>8}".format
    yield line("category", "rows", "newest event", "lag")
    for category in read_categories(of):
        rows, reach = seen.rows.get(category), seen.reach.get(of.topic_of(category) or "")
        count = "?" if rows is None else str(rows.count)
        age = "-" if rows is None or rows.newest_ms is None else f"{max(0.0, now - rows.newest_ms / 1000):.1f} s ago"
        yield line(category, count, age, "?" if reach is None else reach.lag)
    yield f"rejected     {seen.rejected:>12}"


def _server(url: str, user: str) -> Server:
    from ibfeed.clickhouse import Access, Server

    return Server(Access(url, user, os.environ.get(PASSWORD, "")))
