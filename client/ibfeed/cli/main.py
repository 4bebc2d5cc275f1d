"""``ibfeed``, with all its commands. An error of ours is one line on stderr and exit code 1."""

from __future__ import annotations

import sys

import typer

from ibfeed.cli import clickhouse, recording
from ibfeed.cli.dashboard import dashboard
from ibfeed.cli.run import run
from ibfeed.errors import Error

app = typer.Typer(
    name="ibfeed",
    help="Interactive Brokers market data on Kafka: read it, record it, store it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command()(run)
app.command()(dashboard)
recording.register(app)
app.add_typer(clickhouse.app, name="clickhouse")


def main() -> None:
    """Run the command that the arguments name."""
    try:
        app()
    except Error as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit(1)
