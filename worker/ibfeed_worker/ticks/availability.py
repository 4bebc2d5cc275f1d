"""IB's market data availability (field 6509) in words. ``RpB`` is real time, consolidated, with book. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

_TIMELINESS: Final = {
    "R": "real_time",
    "D": "delayed",
    "Z": "frozen",
    "Y": "frozen_delayed",
    "N": "not_subscribed",
    "O": "incomplete_acknowledgement",  # IB's terms for the API are not all acknowledged
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
    """A decoded field 6509.

    Args:
        timeliness: from the first letter; ``unknown`` for a letter that no source describes.
        marks: from the other letters.
    """

    timeliness: str
    marks: tuple[str, ...] = ()


def availability(kind: str) -> Availability:
    """Decode the letters of field 6509."""
    marks = tuple(_MARKS[letter] for letter in kind[1:] if letter in _MARKS)
    return Availability(_TIMELINESS.get(kind[:1], "unknown"), marks)
