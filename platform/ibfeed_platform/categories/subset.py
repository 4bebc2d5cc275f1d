"""The proof that a stream is part of a category: each field of its JSON Schema has a canonical field that holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ibfeed_platform.categories.source import LEVEL_FIELDS, Category, Dtype, Field, Levels, Stream

_INTEGER: Final = {"type": "integer"}
_NUMBER: Final = {"type": "number"}


def uncovered(schema: Mapping[str, Any], category: Category, topic: str) -> list[str]:
    """Return a line for each way in which a record of the stream may not fit into the category's rows.

    Args:
        schema: the JSON Schema of the topic's records.
    """
    stream = category.stream(topic)
    properties, required = schema["properties"], schema["required"]
    problems = [
        f"{key} is told by the category, and is no key of the stream" for key in stream.keys.keys() - properties
    ]
    for key, described in properties.items():
        target = stream.keys.get(key)
        if target is None:
            problems.append(f"{key} has no canonical field")
        elif isinstance(target, Levels):
            problems += _of_levels(key, described)
        else:
            problems += _of_value(key, described, category.by_name[target])
            problems += _of_absence(key, described, key in required, category.by_name[target], stream)
    return problems + list(_of_the_rest(category, stream))


def dtypes_of(described: Mapping[str, Any]) -> set[Dtype]:
    """Return the dtypes that hold all values of a property, null aside. Empty if there are none."""
    match _types(described) - {"null"}:
        case types if types == {"string"}:
            return {Dtype.STRING}
        case types if types == {"integer"}:
            return {Dtype.INT64}
        case types if types == {"number"}:
            return {Dtype.DECIMAL}
        case types if types == {"array"}:
            return _of_array(described)
    return set()


def _of_array(described: Mapping[str, Any]) -> set[Dtype]:
    items = described["items"]
    if _types(items) == {"string"}:
        return {Dtype.STRINGS}
    return {Dtype.SPANS} if _is_pair_of(items, _INTEGER, _INTEGER) else set()


def _types(described: Mapping[str, Any]) -> set[str]:
    """Return the JSON types of a property. An enum without a type has those of its values, which are all texts."""
    types = described.get("type", "string" if all(isinstance(one, str) for one in described.get("enum", [0])) else [])
    return {types} if isinstance(types, str) else set(types)


def _of_value(key: str, described: Mapping[str, Any], field: Field) -> Iterator[str]:
    if field.dtype not in dtypes_of(described):
        yield f"{key} does not fit into {field.dtype} of {field.name}"


def _of_absence(key: str, described: Mapping[str, Any], required: bool, field: Field, stream: Stream) -> Iterator[str]:
    """A null and an absent key are both null in a row, so a key must never be both."""
    nullable = "null" in _types(described)
    if (nullable or not required) and not field.nullable:
        yield f"{key} may have no value, and {field.name} always has one"
    if nullable and not required:
        yield f"{key} may be null or absent, and a row does not tell which"
    if required == (key in stream.optional):
        yield f"{key} is {'required' if required else 'optional'}, and the category says otherwise"


def _of_levels(key: str, described: Mapping[str, Any]) -> Iterator[str]:
    if _types(described) != {"array"} or not _is_pair_of(described["items"], _NUMBER, _NUMBER):
        yield f"{key} is no list of [price, size]"


def _is_pair_of(items: Mapping[str, Any], *types: Mapping[str, str]) -> bool:
    pair = [{"type": one.get("type")} for one in items.get("prefixItems", [])]
    return pair == list(types) and items.get("items") is False and items.get("minItems") == len(types)


def _of_the_rest(category: Category, stream: Stream) -> Iterator[str]:
    told = {*stream.fields.values(), *stream.constants, *(LEVEL_FIELDS if stream.levels else ())}
    for field in category.fields:
        if field.name not in told and not field.nullable:
            yield f"{field.name} always has a value, and no key of the stream tells it"
