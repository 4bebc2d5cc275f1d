"""The quoting of names and texts."""

from __future__ import annotations

from collections.abc import Iterable


def name(text: str) -> str:
    """Return an identifier in back quotes."""
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def text(value: str) -> str:
    """Return a string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def texts(values: Iterable[str]) -> str:
    """Return an array of string literals."""
    return f"[{', '.join(text(value) for value in values)}]"


def indented(lines: Iterable[str]) -> str:
    """Return the lines as a list: one below the other, divided by commas."""
    return ",\n".join(f"    {line}" for line in lines)
