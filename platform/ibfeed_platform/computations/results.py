"""Rows of a computation's result as updates of the hot store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.hot_store.updates import Latest

Row = Mapping[str, Any]

RESERVED: Final = frozenset({"epoch", "seq"})  # by these the hot store tells the newer row


class ResultError(Exception):
    """The rows of a result cannot be told apart. The text says why."""


def updates_of(rows: Sequence[Row], keys: Keys, team: str, computation: str, now_ms: int) -> list[Latest]:
    """Return the updates of a result. ``seq`` is the time of the computation, in ms since 1970.

    Raises ResultError if a key is missing, or comes twice.
    """
    updates: dict[str, Latest] = {}
    for row in rows:
        key = text_of(row["key"])
        if not key:
            raise ResultError("a row of the result has no key: give `key` a value in each row")
        if key in updates:
            raise ResultError(f"two rows of the result have the key {key}: make `key` tell the rows apart")
        fields = {name: text for name, value in row.items() if (text := text_of(value)) is not None}
        fields |= {"epoch": "0", "seq": str(now_ms)}
        updates[key] = Latest(keys.row(team, computation, key), 0, now_ms, now_ms, fields)
    return list(updates.values())


def text_of(value: object) -> str | None:
    """Return a value as the hot store holds it; None: it is left out. Decimals lose zeros at their end."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case dt.datetime() | dt.date():
            return value.isoformat()
    return str(value)
