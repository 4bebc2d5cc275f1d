"""Listed contracts: which months of a root trade on a day, and their conids."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from ibfeed_simulator.market.calendar import business_day_before
from ibfeed_simulator.market.catalogue import BY_ROOT, PRODUCTS, Product

# The venue spells months by itself: the product's tests compare their own spelling with it.
MONTH_CODES: Final = "FGHJKMNQUVXZ"  # January to December
MONTH_NAMES: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

# Conids carry no order at IB, so a multiplication modulo 2**24 by an odd number (a bijection) scatters ours: unique,
# stable over restarts and over rolls, and a conid can be taken back to its contract without a table.
_BASE: Final = 300_000_000
_MODULUS: Final = 1 << 24
_SCATTER: Final = 0x9E3779B1 % _MODULUS
_GATHER: Final = pow(_SCATTER, -1, _MODULUS)
_SLOTS: Final = 1 << 12  # of a product; slot 0 is the underlying
_FIRST_YEAR: Final = 1990


@dataclass(frozen=True)
class Contract:
    """One futures contract. ``month`` is the contract month, ``YYYYMM``, for energy not the month of expiry."""

    conid: int
    product: Product
    month: str
    last_trading_day: date

    @property
    def symbol(self) -> str:
        """Local symbol, such as CLZ6."""
        return f"{self.product.root}{MONTH_CODES[int(self.month[4:]) - 1]}{self.month[3]}"

    @property
    def ltd(self) -> date:
        """IB's ``ltd``: of a cash-settled contract the day before it expires (recorded for ES)."""
        return self.last_trading_day if self.product.physical else business_day_before(self.last_trading_day)

    @property
    def long_cut_off(self) -> date:
        """Last day on which IB tolerates a long position in a contract with delivery."""
        return business_day_before(self.last_trading_day, 2) if self.product.physical else self.ltd


def _conid(product: Product, slot: int) -> int:
    return _BASE + (PRODUCTS.index(product) * _SLOTS + slot) * _SCATTER % _MODULUS


def underlying_conid(product: Product) -> int:
    return _conid(product, 0)


def contract_of(product: Product, year: int, month: int) -> Contract:
    slot = (year - _FIRST_YEAR) * 12 + month
    return Contract(_conid(product, slot), product, f"{year}{month:02d}", product.last_trading_day(year, month))


def product_of_underlying(conid: int) -> Product | None:
    index, slot = divmod((conid - _BASE) * _GATHER % _MODULUS, _SLOTS)
    return PRODUCTS[index] if 0 <= conid - _BASE < _MODULUS and slot == 0 and index < len(PRODUCTS) else None


def find(conid: int) -> Contract | None:
    """The contract of a conid, expired or not yet listed ones included; None for a conid that is none of ours."""
    if not 0 <= conid - _BASE < _MODULUS:
        return None
    index, slot = divmod((conid - _BASE) * _GATHER % _MODULUS, _SLOTS)
    if index >= len(PRODUCTS) or not 0 < slot < _SLOTS:
        return None
    product = PRODUCTS[index]
    year, month = _FIRST_YEAR + (slot - 1) // 12, (slot - 1) % 12 + 1
    return contract_of(product, year, month) if MONTH_CODES[month - 1] in product.months else None


@lru_cache(maxsize=512)
def listed(root: str, today: date) -> tuple[Contract, ...]:
    """Contracts of ``root`` that trade on ``today`` or later, nearest first; empty for an unknown root."""
    product = BY_ROOT.get(root)
    if product is None:
        return ()
    found: list[Contract] = []
    index = today.year * 12 + today.month - 2
    while len(found) < product.listed:
        year, month = index // 12, index % 12 + 1
        if MONTH_CODES[month - 1] in product.months:
            contract = contract_of(product, year, month)
            if contract.last_trading_day >= today:
                found.append(contract)
        index += 1
    return tuple(found)
