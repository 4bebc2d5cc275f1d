"""The source of a category: one YAML file for each version, read into frozen values and checked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from functools import cached_property
from typing import Final

import msgspec

# Iceberg and ClickHouse's Decimal128 both hold 38 digits. A tick of the yen future has 7 after the point, and the
# largest open interest 8 before it.
DECIMAL_DIGITS: Final = 38
DECIMAL_SCALE: Final = 18

MISSING: Final = "missing"  # the state of a field without a value
META: Final = ("dtype", "unit", "state")
UNKNOWN_UNIT: Final = "unknown"
# A unit may name a fact that the record or the contract's reference record tells.
PLACEHOLDERS: Final = frozenset({"currency", "unit"})
PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
LEVEL_FIELDS: Final = ("side", "level", "price", "size", "row_number", "row_count")  # what a row of a level tells
LARGEST_ID: Final = 1_899  # ten column numbers belong to an id, and Protobuf reserves 19,000 to 19,999

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class Dtype(StrEnum):
    """The types that a field may have. Each store has one type of its own for each of them."""

    STRING = "string"
    INT64 = "int64"
    DECIMAL = "decimal"  # exact; at most 20 digits before the point and 18 after it
    STRINGS = "list<string>"
    SPANS = "list<span>"  # of [start, end], both int64


class SourceError(ValueError):
    """The source of a category contradicts itself. The text names the file's category and the cause."""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A canonical field of a category.

    Args:
        id: its number for ever; stores find its columns by it.
        unit: the unit of its values, with facts of the contract in braces, such as ``{currency}``.
        states: the words that its state may have, in the order in which a state has them.
        nullable: whether it may have no value.
    """

    id: int
    name: str
    dtype: Dtype
    unit: str
    states: list[str]
    meaning: str
    nullable: bool = False


class Levels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key of a record that holds the [price, size] pairs of one side of a book. Each pair becomes a row."""

    side: str


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A topic whose records become rows of the category.

    Args:
        versions: of the topic's JSON Schema.
        keys: the canonical field, or the side of the book, of each key of a record, in the record's order.
        optional: the keys that a record leaves out when they have no value.
        constants: canonical fields that are the same in every record.
    """

    topic: str
    versions: list[int]
    keys: dict[str, str | Levels]
    optional: list[str] = []
    constants: dict[str, str] = {}

    @property
    def fields(self) -> dict[str, str]:
        """The canonical field of each key, without the keys of levels."""
        return {key: target for key, target in self.keys.items() if isinstance(target, str)}

    @property
    def levels(self) -> dict[str, str]:
        """The side of each key of levels."""
        return {key: target.side for key, target in self.keys.items() if isinstance(target, Levels)}


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A version of a category schema.

    Args:
        key: the fields by which two copies of a row are known as one; empty if no fields tell.
        states: what each word of a state means.
    """

    category: str
    version: int
    meaning: str
    key: list[str]
    states: dict[str, str]
    fields: list[Field]
    streams: list[Stream] = []

    @property
    def name(self) -> str:
        """The name with the version, such as ``market_tick-1``. Files are called so."""
        return f"{self.category}-{self.version}"

    @property
    def title(self) -> str:
        """The name in the form of a class, such as ``MarketTick``."""
        return "".join(word.capitalize() for word in self.category.split("_"))

    @cached_property
    def by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    def stream(self, topic: str) -> Stream:
        """Return the description of a topic's records. Raises SourceError if they are not of this category."""
        for stream in self.streams:
            if stream.topic == topic:
                return stream
        raise SourceError(f"{self.name}: topic {topic} is not among its streams")


def parse(text: str) -> Category:
    """Read the text of a source file. Raises SourceError with all that is wrong with it."""
    try:
        category = msgspec.yaml.decode(text, type=Category)
    except msgspec.DecodeError as error:
        raise SourceError(str(error)) from error
    problems = [*_of_names(category), *_of_fields(category), *_of_states(category), *_of_streams(category)]
    if problems:
        raise SourceError(f"{category.name}: " + "; ".join(problems))
    return category


def _of_names(category: Category) -> Iterator[str]:
    if category.version < 1:
        yield "versions begin with 1"
    columns = [field.name for field in category.fields]
    columns += [f"{field.name}_{meta}" for field in category.fields for meta in META]
    for name in (category.category, *columns):
        if not _NAME.fullmatch(name):
            yield f"{name} is not in snake case"
    for name, count in Counter(columns).items():
        if count > 1:
            yield f"{count} columns would be called {name}"
    for id_, count in Counter(field.id for field in category.fields).items():
        if count > 1:
            yield f"{count} fields have id {id_}"
        if not 1 <= id_ <= LARGEST_ID:
            yield f"id {id_} is not between 1 and {LARGEST_ID}"
    for name in category.key:
        field = category.by_name.get(name)
        if field is None or field.nullable or field.dtype in (Dtype.STRINGS, Dtype.SPANS):
            yield f"key {name} is no field that always has one value"


def _of_fields(category: Category) -> Iterator[str]:
    for field in category.fields:
        for fact in PLACEHOLDER.findall(field.unit):
            if fact not in PLACEHOLDERS:
                yield f"{field.name}: no record tells the {fact} that its unit names"
        if not field.unit or not field.meaning:
            yield f"{field.name} has no unit or no meaning"


def _of_states(category: Category) -> Iterator[str]:
    used = set()
    for field in category.fields:
        used.update(field.states)
        if not field.states:
            yield f"{field.name} has no states"
        if len(set(field.states)) < len(field.states):
            yield f"{field.name} has a state twice"
        if (MISSING in field.states) != field.nullable:
            yield f"{field.name}: a field is nullable if, and only if, it may be {MISSING}"
    for state in sorted(used - set(category.states)):
        yield f"state {state} has no meaning"
    for state in sorted(set(category.states) - used):
        yield f"no field has state {state}"
    for state in category.states:
        if not _NAME.fullmatch(state):
            yield f"state {state} is not in snake case"


def _of_streams(category: Category) -> Iterator[str]:
    for stream in category.streams:
        told = [*stream.fields.values(), *stream.constants, *(LEVEL_FIELDS if stream.levels else ())]
        for name in sorted(set(told) - set(category.by_name)):
            yield f"{stream.topic}: {name} is no field"
        for name, count in Counter(told).items():
            if count > 1:
                yield f"{stream.topic}: {name} is told {count} times"
        for key in sorted(set(stream.optional) - set(stream.fields)):
            yield f"{stream.topic}: optional {key} is no key"
