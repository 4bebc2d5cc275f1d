"""What a futures contract is an instance of: IB lists several products under one root.

Silver as SI is a contract of 5,000 and one of 1,000 ounces, the DAX has three multipliers, VIX weeklies stand beside
the monthly ones, and some currencies trade at two exchanges. A contract is told from all others by its root, its
product and its last trading day.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import msgspec

# Bounds of ``crds/ibshards.yaml``: what is longer would have the API server refuse a whole shard.
LONGEST_EXCHANGE: Final = 16
LONGEST_TRADING_CLASS: Final = 12
LONGEST_MULTIPLIER: Final = 16
LONGEST_CURRENCY: Final = 8
LONGEST_SYMBOL: Final = 48
_WORD: Final = re.compile(r"[A-Z0-9][A-Z0-9.&_-]*", re.ASCII)


class Product(NamedTuple):
    """Empty strings: IB did not say, or nobody remembers; as a filter: any."""

    exchange: str = ""
    trading_class: str = ""
    multiplier: str = ""
    currency: str = ""

    @property
    def known(self) -> bool:
        return any(self)

    def includes(self, other: Product) -> bool:
        """Whether ``other`` has all that is asked for here."""
        return all(mine in ("", theirs) for mine, theirs in zip(self, other, strict=True))

    def may_include(self, other: Product) -> bool:
        """The same of one of which not all is known."""
        return all("" in (mine, theirs) or mine == theirs for mine, theirs in zip(self, other, strict=True))

    def __str__(self) -> str:
        """For a person: ``COMEX SIL 1000 USD``."""
        return " ".join(word for word in self if word) or "a product that IB does not describe"


class Instrument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """One contract, as every part names it. Empty strings: IB did not say, or it is not remembered.

    Not a dataclass: tens of thousands are made in each cycle of a large feed, and these take a tenth of the time.
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
    """The partition of a topic with ``partitions`` of them; a contract has one slot for life."""
    return slot % partitions


def is_word(text: str) -> bool:
    """Whether it can be a root or a trading class: capitals and digits, and dots, hyphens, & and _ between them."""
    return _WORD.fullmatch(text) is not None


def multiplier_text(value: object) -> str:
    """A multiplier as IB, or a person, may write it (``5000``, ``"5000.0"``, ``0.10``), in one form: ``5000``, ``0.1``.

    What is no positive number is empty.
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
