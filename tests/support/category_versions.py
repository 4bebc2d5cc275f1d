"""The next version of a category, for tests of what readers see of it."""

from __future__ import annotations

from msgspec.structs import replace

from ibfeed_platform.categories.source import MISSING, Category, Dtype, Field


def grown(old: Category) -> tuple[Category, list[str]]:
    """The category with a field and a state more, as the next version may have them; and the new columns."""
    field = Field(
        id=max(field.id for field in old.fields) + 1,
        name="yield_spread",
        dtype=Dtype.DECIMAL,
        unit="basis points",
        nullable=True,
        states=[MISSING, "estimated"],
        meaning="A field that came later.",
    )
    first = replace(old.fields[0], states=[*old.fields[0].states, "estimated"])
    states = old.states | {MISSING: "It has no value.", "estimated": "It was not measured."}
    fields = [first, *old.fields[1:], field]
    new = replace(old, version=old.version + 1, states=states, fields=fields)
    return new, [field.name, *(f"{field.name}_{meta}" for meta in ("dtype", "unit", "state"))]
