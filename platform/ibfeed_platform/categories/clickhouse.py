"""The columns of a category's storage table in ClickHouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ibfeed_platform.categories.columns import Column, columns_of
from ibfeed_platform.categories.source import DECIMAL_DIGITS, DECIMAL_SCALE, Category, Dtype

_KINDS: Final = {
    Dtype.STRING: "String",
    Dtype.INT64: "Int64",
    Dtype.DECIMAL: f"Decimal({DECIMAL_DIGITS}, {DECIMAL_SCALE})",
    Dtype.STRINGS: "Array(LowCardinality(String))",
    Dtype.SPANS: "Array(Tuple(start Int64, end Int64))",
}
_LISTS: Final = (Dtype.STRINGS, Dtype.SPANS)


@dataclass(frozen=True)
class TableColumn:
    """A column of a table: its name, ClickHouse's type, and the comment on it."""

    name: str
    kind: str
    comment: str

    @property
    def definition(self) -> str:
        """The column's line in CREATE TABLE, without a comma."""
        comment = self.comment.replace("\\", "\\\\").replace("'", "\\'")
        return f"`{self.name}` {self.kind} COMMENT '{comment}'"


def table_columns(category: Category) -> list[TableColumn]:
    """Return the columns of a table that holds the category's rows. Engine and keys are the caller's."""
    return [TableColumn(column.name, _kind(column), column.meaning) for column in columns_of(category)]


def column_list(category: Category) -> str:
    """Return the columns as they stand between the brackets of CREATE TABLE."""
    return ",\n".join(column.definition for column in table_columns(category)) + "\n"


def _kind(column: Column) -> str:
    if column.meta:  # a few different texts in all rows of a table
        return "LowCardinality(Nullable(String))" if column.nullable else "LowCardinality(String)"
    kind = _KINDS[column.dtype]
    if column.dtype in _LISTS:
        return kind  # ClickHouse has no Nullable arrays; the state tells whether there is a value
    return f"Nullable({kind})" if column.nullable else kind
