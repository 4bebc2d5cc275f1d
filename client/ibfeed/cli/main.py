"""``ibfeed``, with all its commands. An error of ours is one line on stderr and exit code 1."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from ibfeed.cli import account, clickhouse, data, doctor, logs, placement, plan, recording, report, status
from ibfeed.cli.dashboard import dashboard
from ibfeed.cli.options import SEE_PANEL
from ibfeed.cli.run import run
from ibfeed.errors import Error

_DATA_PANEL = "Read, record and store feeds"


class PanelledGroup(TyperGroup):
    """The commands in groups, each under a title. Typer does so with rich only, whose import takes too long."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command of a group with the first sentence of its text."""
        shown: dict[str, list[tuple[str, str]]] = {}
        width = formatter.width - 6 - max(len(name) for name in self.commands)
        for name, command in self.commands.items():
            panel = getattr(command, "rich_help_panel", None)
            title = panel if isinstance(panel, str) else _DATA_PANEL
            shown.setdefault(title, []).append((name, command.get_short_help_str(width)))
        for title, rows in shown.items():
            with formatter.section(title):
                formatter.write_dl(rows)


app = typer.Typer(
    name="ibfeed",
    cls=PanelledGroup,
    help="Interactive Brokers market data on Kafka: look after feeds, read, record and store them.",
    epilog="Exit codes: 0 well, 1 an error (one line on stderr), 2 wrong usage, 3 what was asked for is not well, 4 the"
    " doctor found an error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

status.register(app)
logs.register(app)
account.register(app)
placement.register(app)
plan.register(app)
app.command()(run)
app.command(rich_help_panel=SEE_PANEL)(dashboard)
recording.register(app)
data.register(app)
doctor.register(app)
report.register(app)
app.add_typer(clickhouse.app, name="clickhouse")


def main() -> None:
    """Run the command that the arguments name. As ``kubectl-ibfeed`` it is a plugin of kubectl."""
    name = "kubectl ibfeed" if Path(sys.argv[0]).stem == "kubectl-ibfeed" else "ibfeed"
    try:
        app(prog_name=name)
    except Error as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit(1)
