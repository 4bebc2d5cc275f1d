"""Futures contracts and their products. IB lists several products under one root.

Silver as SI is a contract of 5,000 and one of 1,000 ounces, the DAX has three multipliers, VIX weeklies stand beside
the monthly ones, and some currencies trade at two exchanges. Root, product and last trading day together identify a
contract.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import msgspec

# Bounds of ``crds/ibshards.yaml``. The API server would refuse a whole shard for one text that is longer.
LONGEST_EXCHANGE: Final = 16
LONGEST_TRADING_CLASS: Final = 12
LONGEST_MULTIPLIER: Final = 16
LONGEST_CURRENCY: Final = 8
LONGEST_SYMBOL: Final = 48
_WORD: Final = re.compile(r"[A-Z0-9][A-Z0-9.&_-]*", re.ASCII)


class Product(NamedTuple):
    """One product of a root. An empty field: IB did not say, or it is not remembered. In a filter it stands for any."""

    exchange: str = ""
    trading_class: str = ""
    multiplier: str = ""
    currency: str = ""

    @property
    def known(self) -> bool:
        return any(self)

    def includes(self, other: Product) -> bool:
        """Whether ``other`` has every value that this filter asks for."""
        return all(mine in ("", theirs) for mine, theirs in zip(self, other, strict=True))

    def may_include(self, other: Product) -> bool:
        """Whether ``other``, of which not all is known, contradicts no value of this filter."""
        return all("" in (mine, theirs) or mine == theirs for mine, theirs in zip(self, other, strict=True))

    def __str__(self) -> str:
        """The product for a person: ``COMEX SIL 1000 USD``."""
        return " ".join(word for word in self if word) or "a product that IB does not describe"


class Instrument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """One contract, as every part names it. An empty string: IB did not say, or it is not remembered.

    It is a msgspec Struct. A cycle of a large feed makes tens of thousands, and a dataclass takes ten times as long.
    """

    conid: int
    symbol: str  # CLZ6
    root: str
    exchange: str = ""
    trading_class: str = ""
    multiplier: str = ""
    currency: str = ""
    contract_month: str = ""  # YYYYMM
    last_trading_day: str = ""  # YYYYMMDD: on this day it may still trade

    @property
    def product(self) -> Product:
        return Product(self.exchange, self.trading_class, self.multiplier, self.currency)


def partition_of(slot: int, partitions: int) -> int:
    """The partition of a contract on a topic with ``partitions`` of them. A contract keeps its slot for life."""
    return slot % partitions


def is_word(text: str) -> bool:
    """Whether a text can be a root or trading class: capitals and digits, between them also dots, hyphens, & and _."""
    return _WORD.fullmatch(text) is not None


def multiplier_text(value: object) -> str:
    """Return a multiplier in one form, such as ``5000`` or ``0.1``. IB and people write ``"5000.0"`` and ``0.10``, too.

    Anything but a positive number gives an empty text.
    """
    try:
        number = Decimal(str(value).strip().replace(",", ""))
    except InvalidOperation:
        return ""
    if isinstance(value, bool) or not number.is_finite() or number <= 0 or abs(number.adjusted()) > LONGEST_MULTIPLIER:
        return ""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if len(text) <= LONGEST_MULTIPLIER else ""
