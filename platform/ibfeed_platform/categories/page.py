"""The documentation page of all category schemas."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from ibfeed_platform.categories.source import Category, Field, Stream

COLUMNS: Final = 100

_HEAD: Final = """# Category schemas

`make schemas` writes this page from `schemas/categories/*.yaml`. Change those files, not this one.
`schemas/categories/README.md` says how to read rows and how versions grow.
"""


def page(categories: Iterable[Category]) -> str:
    """Return the page's text with the newest version of each category."""
    newest = {category.category: category for category in sorted(categories, key=lambda one: one.version)}
    parts = ["\n".join(_section(newest[name])) for name in sorted(newest)]
    return "\n".join([_HEAD, *parts])


def _section(category: Category) -> Iterator[str]:
    yield f"## {category.category.replace('_', ' ').capitalize()}, version {category.version}"
    yield ""
    yield from textwrap.wrap(category.meaning, COLUMNS)
    yield ""
    if category.streams:
        yield from (f"Topic `{stream.topic}`, {_versions(stream)}." for stream in category.streams)
    else:
        yield "No topic carries it yet."
    yield ""
    key = ", ".join(f"`{name}`" for name in category.key)
    yield from textwrap.wrap(f"Key: {key}." if key else "Key: none.", COLUMNS)
    yield ""
    yield "| id | field | dtype | unit | states | meaning |"
    yield "|---|---|---|---|---|---|"
    yield from (_line(field) for field in category.fields)
    yield ""
    yield "| state | meaning |"
    yield "|---|---|"
    yield from (f"| {state} | {meaning} |" for state, meaning in category.states.items())
    yield ""


def _versions(stream: Stream) -> str:
    numbers = " and ".join(map(str, stream.versions))
    return f"version {numbers}" if len(stream.versions) == 1 else f"versions {numbers}"


def _line(field: Field) -> str:
    dtype = f"{field.dtype}, or null" if field.nullable else str(field.dtype)
    cells = [str(field.id), f"`{field.name}`", dtype, field.unit, ", ".join(field.states), field.meaning]
    return f"| {' | '.join(cells)} |"
