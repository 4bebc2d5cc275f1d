"""The rule between two versions of a category: a new one may add nullable fields and states, and no more.

Then a reader of the new version reads old rows. A reader of the old one reads new rows as long as it ignores columns
and words of a state that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise

from ibfeed_platform.categories.source import Category, Field


def incompatibilities(old: Category, new: Category) -> list[str]:
    """Return a line for each change from one version to the next that readers do not survive."""
    return [*_of_version(old, new), *_of_fields(old, new), *_of_streams(old, new)]


def all_incompatibilities(categories: Iterable[Category]) -> list[str]:
    """Compare each version of each category with the one before it."""
    ordered = sorted(categories, key=lambda one: (one.category, one.version))
    return [
        problem
        for _, versions in groupby(ordered, key=lambda one: one.category)
        for old, new in pairwise(versions)
        for problem in incompatibilities(old, new)
    ]


def _of_version(old: Category, new: Category) -> Iterator[str]:
    if new.version != old.version + 1:
        yield f"version {new.version} of {new.category} does not follow version {old.version}"
    if new.key != old.key:
        yield f"{new.name}: the key was {old.key}, and is now {new.key}"


def _of_fields(old: Category, new: Category) -> Iterator[str]:
    names = {field.id: field.name for field in old.fields}
    for field in new.fields:
        former = old.by_name.get(field.name)
        if former is not None:
            yield from (f"{new.name}: {field.name} {problem}" for problem in _of_field(former, field))
        elif field.id in names:
            yield f"{new.name}: id {field.id} was {names[field.id]}, and is now {field.name}"
        elif not field.nullable:
            yield f"{new.name}: {field.name} is new, and rows of version {old.version} lack it, so it must be nullable"
    for name in old.by_name:
        if name not in new.by_name:
            yield f"{new.name}: {name} is gone"


def _of_field(old: Field, new: Field) -> Iterator[str]:
    for what in ("id", "dtype", "unit", "nullable"):
        before, now = getattr(old, what), getattr(new, what)
        if before != now:
            yield f"had {what} {before}, and has now {now}"
    kept = [state for state in new.states if state in old.states]
    if kept != old.states:
        yield f"had states {', '.join(old.states)}; of these remain, in this order, {', '.join(kept) or 'none'}"


def _of_streams(old: Category, new: Category) -> Iterator[str]:
    """A topic's record must go on to make the row that it made, and a row the record."""
    streams = {stream.topic: stream for stream in new.streams}
    for former in old.streams:
        stream = streams.get(former.topic)
        if stream is None:
            yield f"{new.name}: topic {former.topic} is gone"
            continue
        for key, target in former.keys.items():
            if stream.keys.get(key) != target:
                yield f"{new.name}: {former.topic}: {key} has another canonical field"
        for name, value in former.constants.items():
            if stream.constants.get(name) != value:
                yield f"{new.name}: {former.topic}: {name} was always {value}"
