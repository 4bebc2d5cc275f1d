"""How answers are printed: JSON and YAML for programs, tables for people. Colours come on a terminal only."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from ibfeed.cli.options import Form

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPE_WIDTH: Final = 200  # columns where no terminal says how many it has


def document(value: object, form: Form) -> str:
    """Return a value of ours (dataclasses, structs) as JSON or YAML, with times in RFC 3339."""
    import msgspec

    plain = msgspec.to_builtins(value, str_keys=True)
    if form is Form.JSON:
        return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()
    import yaml

    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)).rstrip("\n")


def console() -> Console:
    """Return the console on stdout. ``NO_COLOR`` is obeyed, too."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table without lines, as kubectl prints them. Cells may have rich's markup."""
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for row in rows:
        table.add_row(*row)
    for column in table.columns:
        column.overflow = "fold"
        column.no_wrap = column.header not in ("MESSAGE", "SAID", "WHY")
    return table


def truth(good: bool, text: str) -> str:
    """Return a text in green or red, for rich."""
    return f"[green]{text}[/]" if good else f"[bold red]{text}[/]"


def plain(text: str) -> str:
    """Return a text for rich that may have brackets of its own."""
    from rich.markup import escape

    return escape(text)


def age(at: dt.datetime | None, now: dt.datetime) -> str:
    from ibfeed.cluster.times import span

    return "-" if at is None else span(now - at)
