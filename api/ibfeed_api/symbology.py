"""Futures symbols: trading class + month code + last digit of the year, such as CLZ6.

The trading class is the exchange's own name of the product. For most roots it is the root. Elsewhere it tells the
root's products apart: SILZ6 is silver of 1,000 ounces and SIZ6 that of 5,000, FDXMZ6 the DAX of 5 euros.

The month code comes from the *contract month*, never from the expiry date: CL and NG stop trading in the month before
delivery, so a code built from the expiry of CLZ6 (20 November 2026) would name the wrong contract.
"""

from __future__ import annotations

import re
from typing import Final

from ibfeed_api.instrument import LONGEST_TRADING_CLASS, is_word

MONTH_CODES: Final = "FGHJKMNQUVXZ"  # January to December
MONTH_NAMES: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_YYYYMM = re.compile(r"^(\d{4})(0[1-9]|1[0-2])$")
_MMMYY = re.compile(r"^([A-Z]{3})(\d{2})$")


def contract_month(text: str) -> str:
    """Return a contract month as ``YYYYMM`` from any form IB sends: ``202612``, ``20261218`` or ``DEC26``.

    Raises ValueError for anything else.
    """
    cleaned = text.strip().upper()
    if _YYYYMM.match(cleaned):
        return cleaned
    if len(cleaned) == 8 and cleaned.isdigit() and _YYYYMM.match(cleaned[:6]):
        return cleaned[:6]
    if (match := _MMMYY.match(cleaned)) and match[1] in MONTH_NAMES:
        return f"20{match[2]}{MONTH_NAMES.index(match[1]) + 1:02d}"
    raise ValueError(f"not a contract month: {text!r}")


def is_month(text: str) -> bool:
    """Whether a text is a contract month as ``contract_month`` returns it."""
    return _YYYYMM.match(text) is not None


def symbol(prefix: str, month: str, *, digits: int = 1) -> str:
    """Return the symbol of a product's contract of ``month`` (``YYYYMM``): ``symbol("CL", "202612") == "CLZ6"``.

    ``digits`` is the number of the year's digits. Raises ValueError for a text that is no month.
    """
    match = _YYYYMM.match(month)
    if match is None:
        raise ValueError(f"not a contract month: {month!r}")
    return f"{prefix}{MONTH_CODES[int(match[2]) - 1]}{match[1][-digits:]}"


def prefix(root: str, trading_class: str) -> str:
    """Return the beginning of a product's symbols: its trading class, or the root if IB tells no usable class."""
    return trading_class if is_word(trading_class) and len(trading_class) <= LONGEST_TRADING_CLASS else root
