"""``ibfeed record``, ``replay``, ``inspect``, ``export`` and ``simulate``: recordings of a feed."""

from __future__ import annotations

import datetime as dt
import enum
import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

import ibfeed
from ibfeed.cli.registry import RegistryCa, RegistryUrl, RegistryUser, registry_of
from ibfeed.errors import RecordingError

if TYPE_CHECKING:
    from rich.progress import Progress

    from ibfeed.recording.source import Kafka
    from ibfeed.recording.summary import Row
    from ibfeed.recording.uploads import Uploads

PROPERTIES: Final = "IBFEED_KAFKA_PROPERTIES"  # the variable that may name the file
_TOPICS: Final = ["ticklast", "l2-data", "feed-events", "contracts"]

Properties = Annotated[
    Path | None,
    typer.Option(
        "--properties",
        envvar=PROPERTIES,
        help="File of librdkafka's properties, a line each such as sasl.password=..., for a secured Kafka.",
    ),
]
Symbols = Annotated[list[str] | None, typer.Option("--symbols", help="Only contracts of this symbol; may be repeated.")]
From = Annotated[str | None, typer.Option("--from", help="From when on: ISO 8601, UTC unless it has an offset.")]
Until = Annotated[str | None, typer.Option("--until", help="Before when, in the same form.")]


Recorded = Annotated[
    str, typer.Argument(help="A folder of `ibfeed record`, the address of --upload, or one file of either.")
]


class Output(enum.StrEnum):
    """The form of an answer."""

    TABLE = "table"
    JSON = "json"


class Events(enum.StrEnum):
    """The kind of event that becomes a row."""

    TICKS = "ticks"
    BOOKS = "books"
    GAPS = "gaps"
    STATUSES = "statuses"
    CONTRACTS = "contracts"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (record, replay, inspect, export, simulate):
        app.command()(command)


def record(
    kafka: Annotated[str, typer.Argument(help="Bootstrap servers, such as kafka:9092.")],
    to: Annotated[str, typer.Option("--to", help="The folder. A recording that it has goes on.")],
    feed: Annotated[str | None, typer.Option("--feed", help="Name of the IbFeed. Without it: all feeds.")] = None,
    topic: Annotated[list[str], typer.Option("--topic", help="A topic; may be repeated.")] = _TOPICS,
    start: Annotated[
        str | None, typer.Option("--start", help="At the first time: `now` or a time. Without it: all that Kafka has.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when all that Kafka has now is recorded.")] = False,
    upload: Annotated[
        str | None,
        typer.Option(
            "--upload",
            help="Where files of days that are over are copied to: s3://BUCKET/PREFIX or"
            " abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX. Credentials are the environment's.",
        ),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option("--keep-days", min=1, help="Days after which an uploaded file is removed from the folder."),
    ] = None,
    properties: Properties = None,
    registry: RegistryUrl = None,
    registry_user: RegistryUser = "",
    registry_ca: RegistryCa = "",
) -> None:
    """Record a feed from Kafka into files, each record once, until it is stopped.

    After a stop or a crash the same command goes on behind the last record. A feed in Avro is recorded as JSON, so
    that the recording needs no schema registry.
    """
    from ibfeed.recording.recorder import Order
    from ibfeed.recording.recorder import record as run

    begin = int(dt.datetime.now(dt.UTC).timestamp() * 1000) if start == "now" else _moment(start, "--start")
    order = Order(
        _kafka(kafka, properties), topic, feed, begin, once, registry_of(registry, registry_user, registry_ca)
    )
    uploads = _uploads(to, upload, keep_days)
    stopped = _Stop()
    with _progress() as shown:
        task = shown.add_task("connecting")
        done = run(
            order,
            Path(to),
            lambda now: shown.update(task, description=f"{now.written:,} records written, {now.read:,} read"),
            stopped.asked,
            uploads,
        )
    _say(f"{done.written:,} records written to {to}, {done.left_out:,} of other feeds left out")
    if uploads is not None:
        _say(f"{done.uploaded:,} files of days that are over copied to {upload}")


def replay(
    folder: Recorded,
    to: Annotated[str, typer.Option("--to", help="Bootstrap servers, such as kafka:9092. The topics must be there.")],
    speed: Annotated[str, typer.Option("--speed", help="So many times as fast as it was, or `max`.")] = "1",
    prefix: Annotated[str, typer.Option("--prefix", help="What the topics' names begin with there.")] = "",
    from_: From = None,
    until: Until = None,
    symbols: Symbols = None,
    properties: Properties = None,
) -> None:
    """Send a recording to Kafka again, in the order of time, with its keys, partitions, headers and times."""
    from ibfeed.recording.files import place_of
    from ibfeed.recording.replayer import Replayer, Selection

    wanted = Selection(_moment(from_, "--from"), _moment(until, "--until"), frozenset(symbols or ()))
    replayer = Replayer(_kafka(to, properties), prefix, _speed(speed))
    with _progress() as shown:
        task = shown.add_task("connecting")
        done = replayer.run(
            place_of(folder),
            wanted,
            lambda now: shown.update(task, description=f"{now.sent:,} records, up to {_utc(now.last_ms * 1_000_000)}"),
        )
    late = "" if speed == "max" else f", at most {done.latest_s:.3f} s late"
    _say(f"{done.sent:,} records in {done.seconds:.1f} s, {done.speed:.2f} times as fast as they were{late}")


def inspect(
    place: Recorded,
    output: Annotated[Output, typer.Option("--output", "-o", help="Form of the answer.")] = Output.TABLE,
) -> None:
    """Show what recordings hold, and what is damaged. Exit code 3: something is damaged."""
    from ibfeed.recording import files
    from ibfeed.recording.summary import summarise

    rows = [summarise(file) for file in files.find(files.place_of(place))]
    if output is Output.JSON:
        print(json.dumps([_plain(row) for row in rows], indent=1))
    else:
        _show(rows)
    if any(row.damages for row in rows):
        raise typer.Exit(3)


def export(
    folder: Recorded,
    to: Annotated[Path, typer.Option("--to", help="The Parquet file.")],
    events: Annotated[Events, typer.Option("--events", help="Which events become rows.")] = Events.TICKS,
    topic: Annotated[list[str], typer.Option("--topic", help="The four topics' names.")] = _TOPICS,
    from_: From = None,
    until: Until = None,
    symbols: Symbols = None,
) -> None:
    """Write a recording's events to a Parquet file. Repeated and stale records are left out."""
    from ibfeed.recording.files import place_of
    from ibfeed.recording.replayer import Selection
    from ibfeed.recording.table import export as run

    if len(topic) != len(_TOPICS):
        raise typer.BadParameter("name four: of ticks, of books, of events, of contracts", param_hint="--topic")
    wanted = Selection(_moment(from_, "--from"), _moment(until, "--until"), frozenset(symbols or ()))
    with _progress() as shown:
        task = shown.add_task("reading")
        rows = run(
            place_of(folder),
            to,
            _kind(events),
            wanted,
            ibfeed.Topics(*topic),
            lambda now: shown.update(task, description=f"{now:,} rows"),
        )
    _say(f"{rows:,} rows written to {to}")


def simulate(
    folder: Recorded,
    symbol: Annotated[str, typer.Option("--symbol", help="The contract, with ES's price increment, such as ESZ6.")],
    to: Annotated[Path, typer.Option("--to", help="The folder for `python -m ibfeed_simulator venue --data`.")],
    from_: From = None,
    until: Until = None,
) -> None:
    """Write a contract's trades and order book for the simulator's venue, which plays them as its nearest ES."""
    from ibfeed.recording.events import events_of
    from ibfeed.recording.files import place_of
    from ibfeed.recording.replayer import Selection
    from ibfeed.recording.venue import write

    wanted = Selection(_moment(from_, "--from"), _moment(until, "--until"), frozenset({symbol}))
    trades = write(events_of(place_of(folder), wanted, ibfeed.Topics()), to)
    _say(f"{trades:,} trades written to {to}: start the venue with --data {to}, and --replay-speed N if you like")


# The meaning of the arguments.


def _kafka(servers: str, properties: Path | None) -> Kafka:
    from ibfeed.recording.source import Kafka

    return Kafka(servers, {} if properties is None else parse_properties(_text(properties)))


def _uploads(folder: str, upload: str | None, keep_days: int | None) -> Uploads | None:
    from ibfeed.recording.store import is_address, store_at
    from ibfeed.recording.uploads import Uploads

    if is_address(folder):
        raise typer.BadParameter(
            "records are written to a folder first, so that none is lost in a crash: name the folder here, and the"
            " store by --upload",
            param_hint="--to",
        )
    if upload is None:
        if keep_days is not None:
            raise typer.BadParameter("nothing is removed that is not uploaded: name --upload", param_hint="--keep-days")
        return None
    return Uploads(Path(folder), store_at(upload), keep_days)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"the properties {path} cannot be read: {type(error).__name__}; check the path") from None


def parse_properties(text: str) -> dict[str, str]:
    """Return the properties of a file: ``name=value`` on each line, ``#`` begins a comment line.

    Raises RecordingError, which does not show the line, since it may hold a secret.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise RecordingError(f"line {number} of the properties is not name=value: correct it")
        found[name.strip()] = value.strip()
    return found


def _moment(text: str | None, option: str) -> int | None:
    """Return a time in ms since 1970."""
    if text is None:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is no time: write it as 2026-11-27T08:00", param_hint=option) from None
    return int((at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def _speed(text: str) -> float | None:
    try:
        speed = None if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if speed is not None and not 0 < speed < float("inf"):
        raise typer.BadParameter(f"{text} is no speed: write a number above 0, or max", param_hint="--speed")
    return speed


class _Stop:
    """Whether the process was told to end. A second signal ends it at once."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def asked(self) -> bool:
        return self._asked

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._asked = True
        signal.signal(number, signal.SIG_DFL)


def _kind(events: Events) -> type[ibfeed.Event]:
    kinds: dict[Events, type[ibfeed.Event]] = {
        Events.TICKS: ibfeed.Tick,
        Events.BOOKS: ibfeed.Book,
        Events.GAPS: ibfeed.Gap,
        Events.STATUSES: ibfeed.Status,
        Events.CONTRACTS: ibfeed.Contract,
    }
    return kinds[events]


# The output.


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _utc(ns: int | None) -> str:
    return "" if ns is None else dt.datetime.fromtimestamp(ns / 1e9, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _plain(row: Row) -> dict[str, object]:
    return {
        "file": str(row.file),
        "kind": row.kind,
        "topic": row.topic,
        "name": row.name,
        "day": row.day,
        "count": row.count,
        "first_ns": row.first_ns,
        "last_ns": row.last_ns,
        "bytes": row.size,
        "bytes_each": row.bytes_each,
        "damage": [{"offset": part.start, "bytes": part.end - part.start, "torn": part.torn} for part in row.damages],
    }


def _show(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("contract", "topic", "day", "records", "first", "last", "bytes", "each", "damage")
    for row in rows:
        each = "" if row.bytes_each is None else f"{row.bytes_each:.1f}"
        numbers = (f"{row.count:,}", _utc(row.first_ns), _utc(row.last_ns), f"{row.size:,}", each)
        table.add_row(row.name, row.topic or row.kind, row.day, *numbers, f"{row.lost:,} bytes" if row.damages else "")
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for row in rows:
        for part in row.damages:
            what, lost = "torn end" if part.torn else "damage", part.end - part.start
            console.print(f"{row.file}: {what} at byte {part.start:,}, {lost:,} bytes lost", soft_wrap=True)
