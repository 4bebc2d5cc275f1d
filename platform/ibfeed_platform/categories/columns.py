"""The columns of a category row: for each field its value, dtype, unit and state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ibfeed_platform.categories.source import Category, Dtype, Field

NUMBERS: Final = 10  # column numbers of one field
# The places, within a field's numbers, of what is inside a list. Iceberg numbers these, too.
ELEMENT: Final = 4
SPAN_START: Final = 5
SPAN_END: Final = 6


@dataclass(frozen=True)
class Column:
    """A column of a category row.

    Args:
        number: the same in Iceberg and in Protobuf, over all versions.
        meta: empty for the field's value, else ``dtype``, ``unit`` or ``state``.
    """

    name: str
    number: int
    field: Field
    meta: str
    meaning: str

    @property
    def dtype(self) -> Dtype:
        return Dtype.STRING if self.meta else self.field.dtype

    @property
    def nullable(self) -> bool:
        """Whether it may be null. A new version adds nullable fields, and old rows lack all four columns of them."""
        return self.field.nullable


def columns_of(category: Category) -> list[Column]:
    """Return the columns of a category row in their order."""
    return [column for field in category.fields for column in _of_field(field)]


def number_of(field: Field, place: int) -> int:
    """Return a number that belongs to the field: its value's for place 0, its meta columns' for 1 to 3."""
    return field.id * NUMBERS + place


def _of_field(field: Field) -> list[Column]:
    name = field.name
    return [
        Column(name, number_of(field, 0), field, "", field.meaning),
        Column(f"{name}_dtype", number_of(field, 1), field, "dtype", f"Type of {name}: {_dtype_text(field)}."),
        Column(f"{name}_unit", number_of(field, 2), field, "unit", f"Unit of {name}: {field.unit}."),
        Column(f"{name}_state", number_of(field, 3), field, "state", f"State of {name}: {', '.join(field.states)}."),
    ]


def _dtype_text(field: Field) -> str:
    if field.dtype is Dtype.DECIMAL:
        return "decimal, with the count of digits after the point as the source wrote them"
    return field.dtype
