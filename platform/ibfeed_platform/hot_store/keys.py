"""The names of the keys in Redis. ``docs/hot-store.md`` documents them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one feed's keys.

    Args:
        feed: name of the IbFeed.
        prefix: what all keys begin with. Feeds of one name need different ones.
    """

    feed: str
    prefix: str = "ibfeed"

    @property
    def all(self) -> str:
        """The pattern of all keys of the feed."""
        return f"{self.prefix}:{self.feed}:*"

    def tick(self, symbol: str) -> str:
        """The hash with the latest tick of a contract."""
        return f"{self.prefix}:{self.feed}:tick:{symbol}"

    def book(self, symbol: str) -> str:
        """The hash with the present order book of a contract."""
        return f"{self.prefix}:{self.feed}:book:{symbol}"

    def book_memory(self, symbol: str) -> str:
        """The hash to which the next change of a book is applied. It outlives the book's own key."""
        return f"{self.prefix}:{self.feed}:book-memory:{symbol}"

    def status(self, worker: str) -> str:
        """The hash with the latest event that a worker told."""
        return f"{self.prefix}:{self.feed}:status:{worker}"

    def index(self, team: str, computation: str) -> str:
        """The set of the keys of a computation's present rows."""
        return f"{self.prefix}:{self.feed}:team:{team}:{computation}"

    def row(self, team: str, computation: str, key: str) -> str:
        """The hash with one row of a team's computation."""
        return f"{self.index(team, computation)}:{key}"
