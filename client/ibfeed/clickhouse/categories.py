"""The categories of the feed's topics, as ``make schemas`` of the ibfeed repository writes them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

FILE: Final = "categories.json"


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column of a table, with ClickHouse's type."""

    name: str
    kind: str
    comment: str


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field of a category, and its four columns: value, dtype, unit and state."""

    name: str
    dtype: str  # string, int64, decimal, list<string> or list<span>
    unit: str  # {currency} stands for the currency of the contract
    states: tuple[str, ...]  # in the order in which a state has them
    nullable: bool
    columns: tuple[Column, Column, Column, Column]


class Levels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key of a record that holds the levels of one side of a book."""

    side: str


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The topic that carries a category, and the field of each key of its records."""

    topic: str
    versions: tuple[int, ...]
    keys: dict[str, str | Levels]
    constants: dict[str, str]

    @property
    def key_of(self) -> dict[str, str]:
        """The key of each field that has one."""
        return {field: key for key, field in self.keys.items() if isinstance(field, str)}

    @property
    def levels(self) -> dict[str, str]:
        """The side of each key of levels."""
        return {key: levels.side for key, levels in self.keys.items() if isinstance(levels, Levels)}

    @property
    def schemas(self) -> tuple[str, ...]:
        """The values of the header ``schema`` that are known."""
        return tuple(f"{self.topic}/{version}" for version in self.versions)


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest version of a category."""

    name: str
    version: int
    stream: Stream
    fields: tuple[Field, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(column for field in self.fields for column in field.columns)


class _File(msgspec.Struct, frozen=True):
    categories: tuple[Category, ...]


@cache
def categories() -> dict[str, Category]:
    """Return the categories by name: contract, feed_event, market_tick and order_book."""
    text = files(__package__ or __name__).joinpath(FILE).read_bytes()
    return {category.name: category for category in msgspec.json.decode(text, type=_File).categories}
