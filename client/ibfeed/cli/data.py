"""``ibfeed tail``, ``book`` and ``gaps``: a feed's data as they come, and what is missing of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ibfeed.cli.doctor import Context, Namespace, quiet_http
from ibfeed.cli.recording import Output, Properties
from ibfeed.errors import ConfigurationError, MissingObjectError

if TYPE_CHECKING:
    import ibfeed
    from ibfeed.cluster.kafka_access import KafkaAccess

_BOOK_BACK: Final = dt.timedelta(seconds=90)  # workers write a snapshot of each book once a minute

Address = Annotated[
    str,
    typer.Option("--kafka", help="Bootstrap servers, such as kafka:9092. No cluster is asked.", show_default=False),
]
FeedName = Annotated[str, typer.Option("--feed", help="The IbFeed, if several may be meant.", show_default=False)]
TopicName = Annotated[
    str, typer.Option("--topic", help="With --kafka: the topic, if it is not the usual one.", show_default=False)
]
Form = Annotated[Output, typer.Option("--output", "-o", help="json: a line of JSON for each.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (tail, book, gaps):
        app.command()(command)


def tail(
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL...", help="Contracts, such as CLZ6.")],
    feed: FeedName = "",
    kafka: Address = "",
    topic: TopicName = "",
    properties: Properties = None,
    context: Context = "",
    namespace: Namespace = "",
    output: Form = Output.TABLE,
) -> None:
    """Print the ticks of contracts as they come, until Ctrl-C.

    Kafka's address, topics and credentials are those of the IbFeed, or of --kafka and --properties. Times are UTC.
    """
    import ibfeed
    from ibfeed.cli import data_lines

    access, name = _access(_Asked(feed, kafka, topic, properties, context, namespace), "ticks", symbols)
    shown = data_lines.tick_json if output is Output.JSON else data_lines.tick_line
    with _until_ctrl_c(), _reader(access, name, "ticks", symbols=symbols) as reader:
        _wait_note(f"ticks of {', '.join(symbols)}", access)
        for event in reader:
            if isinstance(event, ibfeed.Tick):
                print(shown(event), flush=True)


def book(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="A contract, such as CLZ6.")],
    feed: FeedName = "",
    kafka: Address = "",
    topic: TopicName = "",
    properties: Properties = None,
    context: Context = "",
    namespace: Namespace = "",
    output: Form = Output.TABLE,
) -> None:
    """Show the order book of a contract as it changes, until Ctrl-C.

    A terminal shows it as a ladder; else each change is a line. It begins 90 seconds back, since a book is known from
    its snapshot on, which is written once a minute.
    """
    import ibfeed
    from ibfeed.cli import data_lines

    access, name = _access(_Asked(feed, kafka, topic, properties, context, namespace), "books", [symbol])
    shown = data_lines.book_json if output is Output.JSON else data_lines.book_line
    with _until_ctrl_c(), _reader(access, name, "books", symbols=[symbol], start=_BOOK_BACK) as reader:
        _wait_note(f"the order book of {symbol}", access)
        books = (event for event in reader if isinstance(event, ibfeed.Book))
        if sys.stdout.isatty() and output is not Output.JSON:
            _live(books)
        else:
            for one in books:
                print(shown(one), flush=True)


def gaps(
    feed: Annotated[str, typer.Argument(metavar="[FEED]", help="The IbFeed, if several may be meant.")] = "",
    since: Annotated[str, typer.Option("--since", help="How far back: 30m, 1h, 2d.")] = "1h",
    kafka: Address = "",
    topic: TopicName = "",
    properties: Properties = None,
    context: Context = "",
    namespace: Namespace = "",
    output: Form = Output.TABLE,
) -> None:
    """List what is missing of a feed, why, and how much of each contract. Times are UTC."""
    import ibfeed
    from ibfeed.cli import data_lines

    try:
        back = data_lines.span_of(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    access, name = _access(_Asked(feed, kafka, topic, properties, context, namespace), "events", [])
    with _until_ctrl_c(), _reader(access, name, "events", start=back, until="now") as reader:
        found = [event for event in reader if isinstance(event, ibfeed.Gap)]
        if output is Output.JSON:
            for gap in found:
                print(data_lines.gap_json(gap))
        else:
            _show_gaps(found, since)


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    """Where the caller wants the data from."""

    feed: str
    kafka: str
    topic: str
    properties: Path | None
    context: str
    namespace: str


def _access(asked: _Asked, stream: str, symbols: list[str]) -> tuple[KafkaAccess, str | None]:
    """Return the way to Kafka, and the feed's name; None: of all feeds.

    Args:
        asked: by the caller.
        stream: the field of ``ibfeed.Topics`` that is read.
        symbols: which contracts.
    """
    from ibfeed.cli.recording import parse_properties
    from ibfeed.cluster.kafka_access import KafkaAccess, find_kafka, kafka_access
    from ibfeed.stream import Topics

    own = None
    if asked.properties is not None:
        try:
            own = parse_properties(asked.properties.read_text())
        except OSError as error:
            raise ConfigurationError(f"{asked.properties} cannot be read: {error.strerror}") from None
    if asked.kafka:
        topics = dataclasses.replace(Topics(), **({stream: asked.topic} if asked.topic else {}))
        return KafkaAccess(asked.kafka, topics, own or {}), asked.feed or None
    if asked.topic:
        raise typer.BadParameter("it needs --kafka; an IbFeed names its topics itself", param_hint="--topic")
    from ibfeed.cluster import connect

    quiet_http()
    cluster = connect(context=asked.context, namespace=asked.namespace)
    feed = choose_feed(cluster.items("ibfeeds"), asked.feed, symbols, cluster.namespace)
    if stream == "books":
        _check_depth(feed, symbols[0])
    if own is None:
        return find_kafka(cluster, feed), feed["metadata"]["name"]
    return dataclasses.replace(kafka_access(feed, {}), properties=own), feed["metadata"]["name"]


def choose_feed(feeds: list[dict[str, Any]], name: str, symbols: list[str], namespace: str) -> dict[str, Any]:
    """Return the feed that is meant: by its name, by its contracts, or because it is the only one.

    Raises:
        MissingObjectError: none or several are meant; the text says which there are.
    """
    there = ", ".join(feed["metadata"]["name"] for feed in feeds) or "none"
    meant = [feed for feed in feeds if not name or feed["metadata"]["name"] == name]
    if not meant:
        raise MissingObjectError(f"namespace {namespace} has no IbFeed {name}".rstrip() + f"; it has: {there}")
    found = [feed for feed in meant if not symbols or set(symbols) & _symbols(feed)]
    if len(found) > 1:
        names = ", ".join(feed["metadata"]["name"] for feed in found)
        raise MissingObjectError(f"several IbFeeds may be meant: {names}; say which")
    if not found:
        where, known = name or there, sorted(set().union(*map(_symbols, meant)))
        raise MissingObjectError(
            f"no contract of {', '.join(symbols)} is in {where}; it has: {', '.join(known) or 'none'}"
        )
    return found[0]


def _symbols(feed: dict[str, Any]) -> set[str]:
    return {contract["symbol"] for contract in feed.get("status", {}).get("contracts") or ()}


def _check_depth(feed: dict[str, Any], symbol: str) -> None:
    contracts = feed.get("status", {}).get("contracts") or ()
    mine = next((one for one in contracts if one["symbol"] == symbol), None)
    if mine is not None and not mine.get("depth"):
        raise MissingObjectError(
            f"{symbol} has no order book: add depth to root {mine['root']} of IbFeed {feed['metadata']['name']}"
        )


def _reader(access: KafkaAccess, feed: str | None, stream: str, **more: Any) -> ibfeed.Reader:
    """Return a reader of one topic alone."""
    import ibfeed

    topics = ibfeed.Topics(None, None, None, None)
    topics = dataclasses.replace(topics, **{stream: getattr(access.topics, stream)})
    registry = access.registry
    return ibfeed.read(
        access.servers, feed=feed, topics=topics, config=access.properties, schema_registry=registry, **more
    )


@contextmanager
def _until_ctrl_c() -> Iterator[None]:
    """End in order on Ctrl-C, on SIGTERM, and when whoever reads the output has gone (``| head``)."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            yield
    except BrokenPipeError:
        # The interpreter would try to write what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_note(what: str, access: KafkaAccess) -> None:
    if sys.stderr.isatty():
        typer.echo(f"waiting for {what} on {access.servers}; Ctrl-C ends", err=True)


def _live(books: Iterator[ibfeed.Book]) -> None:
    from rich.console import Console
    from rich.live import Live

    from ibfeed.cli.data_lines import ladder

    with Live(console=Console(highlight=False), refresh_per_second=8) as live:
        for one in books:
            live.update(ladder(one))


def _show_gaps(found: list[ibfeed.Gap], since: str) -> None:
    from rich.console import Console

    from ibfeed.cli.data_lines import gap_cells, gap_totals

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    if not found:
        console.print(f"no gap within {since}")
        return
    console.print(_table(("contract", "from", "to", "seconds", "worker", "cause"), map(gap_cells, found)))
    rows = ((one.symbol, str(one.gaps), f"{one.seconds:.1f}", str(one.open_ended or "")) for one in gap_totals(found))
    console.print()
    console.print(_table(("contract", "gaps", "seconds missing", "of unknown length"), rows))


def _table(columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for row in rows:
        table.add_row(*map(escape, row))
    return table
