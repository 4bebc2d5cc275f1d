"""IB's numbers: text such as ``"C419.00"``, ``"1,300"`` or ``"12.2M"``, read without a binary float on the way."""

from __future__ import annotations

import decimal
import re
from functools import lru_cache
from typing import Final

import msgspec

from ibfeed_api.records import Number

# IB groups by thousands. "1,3" is refused rather than read as 13: it might be a decimal comma.
_NUMBER: Final = re.compile(
    r"(?P<mark>[CH])?(?P<sign>[+-]?)(?P<whole>\d{1,3}(?:,\d{3})+|\d*)(?:\.(?P<fraction>\d*))?"
    r"(?:[eE](?P<exponent>[+-]?\d{1,2}))?(?P<unit>[KMB%])?",
    re.ASCII,
)
_POWERS: Final = {"K": 3, "M": 6, "B": 9}
_LONGEST: Final = 40
_EXACT: Final = decimal.Context(prec=200, traps=[decimal.Inexact, decimal.InvalidOperation])


class NumberReading(msgspec.Struct, frozen=True, gc=False):
    """A number as IB sent it.

    Args:
        digits: the text of a JSON number with IB's own decimals.
        mark: the letter before a price: ``C`` for the previous close, ``H`` for a halted contract, else empty.
    """

    digits: Number
    mark: str


class NumberError(ValueError):
    """The text is not a number in any of IB's forms."""


def read_once(text: str) -> NumberReading | None:
    """Read one value of an ``smd`` frame; None if it is empty, by which IB takes a value back. Raises NumberError."""
    if text.isdigit() and text.isascii() and text[0] != "0" and len(text) <= _LONGEST:
        return NumberReading(msgspec.Raw(text), "")
    cleaned = text.strip()
    if not cleaned:
        return None
    match = _NUMBER.fullmatch(cleaned) if len(cleaned) <= _LONGEST else None
    if match is None or not (match["whole"] or match["fraction"]):
        raise NumberError(cleaned[:_LONGEST])
    whole = match["whole"].replace(",", "").lstrip("0") or "0"
    digits = f"{whole}.{match['fraction']}" if match["fraction"] else whole
    power = int(match["exponent"] or 0) + _POWERS.get(match["unit"] or "", 0)
    if power:
        digits = f"{decimal.Decimal(digits).scaleb(power, _EXACT):f}"
    sign = "-" if match["sign"] == "-" else ""
    return NumberReading(msgspec.Raw((sign + digits).encode()), match["mark"] or "")


read: Final = lru_cache(maxsize=8192)(read_once)
"""``read_once`` with a cache. A contract's prices and sizes hover over few values; its volume never comes back."""
