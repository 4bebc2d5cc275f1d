"""IB's market data availability, field 6509, in words: RpB is real time, consolidated, with book. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

_TIMELINESS: Final = {
    "R": "real_time",
    "D": "delayed",
    "Z": "frozen",
    "Y": "frozen_delayed",
    "N": "not_subscribed",
    "O": "incomplete_acknowledgement",  # of IB's terms for the API
}
_MARKS: Final = {
    "P": "snapshot",
    "p": "consolidated",
    "B": "book",
    "d": "performance_details",
    "i": "incomplete",
    "v": "vendor_exempt",
}


class Availability(NamedTuple):
    """``timeliness``: ``unknown`` for a letter that no source describes. ``marks``: of the other letters."""

    timeliness: str
    marks: tuple[str, ...] = ()


def availability(kind: str) -> Availability:
    marks = tuple(_MARKS[letter] for letter in kind[1:] if letter in _MARKS)
    return Availability(_TIMELINESS.get(kind[:1], "unknown"), marks)
