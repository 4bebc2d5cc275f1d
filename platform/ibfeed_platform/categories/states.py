"""The words of a field's state, from what a record says. One function for each topic.

A function gets the values of a row by their canonical names. It knows the words only; the category's source tells
their order and which field may have which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ibfeed_api.records import TOPIC_CONTRACTS, TOPIC_DEPTH, TOPIC_EVENTS, TOPIC_TICKS
from ibfeed_platform.categories.source import MISSING

PRESENT: Final = "present"

_QUOTE: Final = frozenset({"price", "size", "open_interest", "bid", "bid_size", "ask", "ask_size", "volume"})
_NOT_LIVE: Final = frozenset({"delayed", "frozen", "not_subscribed", "unverified"})
_PRICE_MARKS: Final = frozenset({"previous_close", "halted"})
_LEVEL: Final = frozenset({"price", "size"})
_BOOK_FLAGS: Final = frozenset({"crossed", "incomplete", "stale"})
_GAP_ENDS: Final = frozenset({"gap_from", "gap_to"})

Values = Mapping[str, Any]


def _of_tick(name: str, values: Values) -> set[str]:
    flags = set(values["flags"])
    changed = {"changed"} if name in flags else set()
    if name not in _QUOTE:
        return _plain(name, values) | changed
    if values[name] is None:
        return {MISSING} | changed
    words = changed | _timeliness(flags, values["market_data_type"]) | (flags & {"snapshot"})
    return words | (flags & _PRICE_MARKS) if name == "price" else words


def _timeliness(flags: set[str], market_data_type: str) -> set[str]:
    """Return whether a quote is live. A quote that neither the flags nor IB's letter vouch for is unverified."""
    if not_live := flags & _NOT_LIVE:
        return not_live
    return {"live"} if market_data_type.startswith("R") else {"unverified"}


def _of_book(name: str, values: Values) -> set[str]:
    words = _plain(name, values)
    if name == "level" and values["level"] is not None:
        # A delta lists the levels that changed, and does not say how deep in the book they lie.
        return {"rank"} if values["kind"] == "snapshot" else {"place"}
    if name not in _LEVEL:
        return words
    if values["kind"] == "clear":
        words = words | {"cleared"}
    if name == "size" and values["kind"] == "delta" and values["size"] == 0:
        words = words | {"removed"}
    return words | (set(values["flags"]) & _BOOK_FLAGS)


def _of_event(name: str, values: Values) -> set[str]:
    if name in _GAP_ENDS and values["kind"] == "gap" and values[name] is None:
        return {MISSING, "unknown"}
    return _plain(name, values)


def _plain(name: str, values: Values) -> set[str]:
    return {MISSING} if values[name] is None else {PRESENT}


WORDS: Final[Mapping[str, Callable[[str, Values], set[str]]]] = {
    TOPIC_TICKS: _of_tick,
    TOPIC_DEPTH: _of_book,
    TOPIC_EVENTS: _of_event,
    TOPIC_CONTRACTS: _plain,
}
