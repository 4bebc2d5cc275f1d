"""The objects of a database, and the texts that make them."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import Final

from ibfeed.clickhouse import sql

MARK: Final = "ibfeed"  # begins the comment on each object of ours


class Kind(enum.Enum):
    """A table that holds rows must be altered. All else can be dropped and made again at any time."""

    STORE = "table that holds rows"
    INGEST = "part of the way from Kafka"
    VIEW = "view"


@dataclass(frozen=True)
class TableColumn:
    """A column of a table that holds rows.

    Args:
        fixed: SQL of a value that is the same in all rows. ClickHouse makes it when it is read, and stores nothing.
    """

    name: str
    kind: str
    comment: str
    fixed: str = ""

    @property
    def definition(self) -> str:
        """The column's line in CREATE TABLE."""
        fixed = f" ALIAS {self.fixed}" if self.fixed else ""
        return f"{sql.name(self.name)} {self.kind}{fixed} COMMENT {sql.text(self.comment)}"


@dataclass(frozen=True)
class Object:
    """A table or a view.

    Args:
        text: its CREATE without the comment, with ``{ttl}`` where a table's TTL stands.
        columns: of a table that holds rows.
        ttl: of a table that holds rows; empty: they stay.
        chain: the objects of one chain are dropped and made again together. Kafka's records wait meanwhile.
        fill: of a table that is made from another one: the SELECT of its rows.
    """

    name: str
    kind: Kind
    text: str
    columns: tuple[TableColumn, ...] = ()
    ttl: str = ""
    chain: str = ""
    fill: str = ""

    @property
    def comment(self) -> str:
        """The comment, by which a later run knows whether the object is still as it should be."""
        told = self.ttl if self.kind is Kind.STORE else self.text
        return f"{MARK} {hashlib.sha256(told.encode()).hexdigest()[:16]}"

    @property
    def create(self) -> str:
        """The statement that makes the object."""
        ttl = f"\nTTL {self.ttl}" if self.ttl else ""
        return f"{self.text.replace('{ttl}', ttl)}\nCOMMENT {sql.text(self.comment)}"
