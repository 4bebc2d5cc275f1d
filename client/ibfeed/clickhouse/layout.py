"""The user's choices: the database, where the records come from, how long rows stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ibfeed.errors import Error
from ibfeed.stream import Topics

# ClickHouse writes at most 100 partitions with one insert, and a partition is a day. A replay of all that Kafka still
# has must not need more.
MOST_DAYS: Final = 90
IN_COLLECTION: Final = "collection"  # in the place of a registry's URL


class LayoutError(Error):
    """A layout that ClickHouse cannot carry. The text says what to change."""


@dataclass(frozen=True)
class Layout:
    """The tables of one feed, or of all feeds that share the topics.

    Args:
        servers: Kafka's bootstrap servers, as ClickHouse reaches them.
        topics: the topics' names. None: there are no tables for it. The topic of contracts tells the units of prices.
        feed: records of other feeds are left out; empty: the records of all feeds are stored.
        group: the beginning of the names of the consumer groups. Each database needs its own.
        ttl_days: days after which ticks, books, events and rejected records are deleted, by Kafka's time of the record.
        collection: a named collection of ClickHouse that has the rest of Kafka's settings, such as passwords.
        registry: URL of the schema registry of a feed that writes Avro, as ClickHouse reaches it; empty: JSON is read.
            ``IN_COLLECTION``: the named collection has it as ``format_avro_schema_registry_url``, with user and
            password in it.

    Raises:
        LayoutError: the values cannot be carried out.
    """

    servers: str
    database: str = "ibfeed"
    topics: Topics = Topics()  # noqa: RUF009 - it is frozen
    feed: str = ""
    group: str = "ibfeed-clickhouse"
    ttl_days: int = 7
    collection: str = ""
    registry: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be carried out."""
        if not 1 <= self.ttl_days <= MOST_DAYS:
            raise LayoutError(f"rows cannot be kept for {self.ttl_days} days: give 1 to {MOST_DAYS}")
        if self.topics.contracts is None:
            raise LayoutError("the topic of contracts is needed, because it tells the units of prices: name it")
        for what, value in (("servers", self.servers), ("database", self.database), ("group", self.group)):
            if not value:
                raise LayoutError(f"{what} is empty: give it a value")
        if self.registry:
            self._check_registry()

    def _check_registry(self) -> None:
        if self.registry == IN_COLLECTION:
            if not self.collection:
                raise LayoutError(
                    "the URL of the schema registry is to be in the named collection: name the collection"
                )
            return
        parts = urlsplit(self.registry)
        if parts.username is not None or parts.password is not None:
            raise LayoutError(
                "the URL of the schema registry holds a user or a password, and everybody sees a table's definition:"
                f" give it to a named collection as format_avro_schema_registry_url, and name {IN_COLLECTION} instead"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LayoutError("the URL of the schema registry must be like http://HOST:8081")

    def topic_of(self, category: str) -> str | None:
        """Return the topic that carries a category; None if it is not read."""
        by_name = {
            "market_tick": self.topics.ticks,
            "order_book": self.topics.books,
            "feed_event": self.topics.events,
            "contract": self.topics.contracts,
        }
        return by_name[category]

    def group_of(self, category: str) -> str:
        """Return the consumer group of a category's topic.

        There is one for each topic. Members of one group wait for each other whenever one comes or goes: four topics
        in one group took 16 s to be assigned.
        """
        return f"{self.group}-{category.replace('_', '-')}"
