"""A copy of one collection of the cluster, from lists, a watch and this process's own writes. Pure.

A watch sends the events of one kind in the order of their resourceVersions, which are numbers that grow over all its
objects. So the copy is exact as of its ``position``. A late message that is not above the position says nothing new: an
event that a later list has anticipated, or the answer to a write whose event came first.

Above the position only this process's own writes are known. They lie on top until the position has passed them. A cycle
that forgot a write of the one before could give a contract away twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

Key = tuple[str, str]  # namespace and name


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """One object before and after a change. ``before`` or ``after`` is None where there was, or is, no object."""

    key: Key
    before: T | None
    after: T | None

    @property
    def either(self) -> T:
        """The object as it is, else as it was."""
        if self.after is not None:
            return self.after
        if self.before is None:
            raise ValueError(f"{self.key} neither is nor was")
        return self.before


class Store(Generic[T]):
    """The values of one collection by namespace and name. Versions are resourceVersions as numbers."""

    def __init__(self) -> None:
        self.position = 0
        self._seen: dict[Key, T] = {}
        self._ahead: Final[dict[Key, tuple[int, T]]] = {}

    def replace(self, items: Mapping[Key, T], position: int) -> list[Change[T]]:
        """Replace all values by a list from which a watch goes on, and return what that changes.

        The list's position may be lower than the present one, after the server's data was restored.
        """
        before, self._seen = self._seen, dict(items)
        self._pass(position)
        changes = [Change(key, before.get(key), value) for key, value in items.items() if before.get(key) != value]
        return changes + [Change(key, value, None) for key, value in before.items() if key not in items]

    def refresh(self, items: Mapping[Key, T], position: int) -> list[Change[T]]:
        """Replace all values by a list that was requested while a watch goes on, unless the watch is further."""
        return self.replace(items, position) if position >= self.position else []

    def event(self, key: Key, value: T | None, version: int) -> Change[T] | None:
        """Take in an event: an object was created or changed, or deleted (None), at ``version``."""
        if version <= self.position:
            return None
        self._pass(version)
        before = self._seen.pop(key, None)
        if value is not None:
            self._seen[key] = value
        return Change(key, before, value) if before != value else None

    def bookmark(self, version: int) -> None:
        """Take in that every event up to ``version`` has been sent."""
        if version > self.position:
            self._pass(version)

    def wrote(self, key: Key, value: T, version: int) -> None:
        """Take in that this process created or changed an object, which thereby became ``version``."""
        known, _ = self._ahead.get(key, (self.position, None))
        if version > known:
            self._ahead[key] = (version, value)

    def value(self, key: Key) -> T | None:
        """Return the newest known value of one object."""
        own = self._ahead.get(key)
        return own[1] if own is not None else self._seen.get(key)

    def values(self, namespace: str | None = None) -> Iterator[tuple[Key, T]]:
        """Yield all keys and values, in ``namespace`` or everywhere, in no order."""
        own = {key: value for key, (_, value) in self._ahead.items()}
        for key, value in (self._seen | own if own else self._seen).items():
            if namespace is None or key[0] == namespace:
                yield key, value

    def _pass(self, position: int) -> None:
        self.position = position
        for key in [key for key, (version, _) in self._ahead.items() if version <= position]:
            del self._ahead[key]
