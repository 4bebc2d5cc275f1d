"""Listed contracts: the months of a root that trade on a day, and their conids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import count, islice
from typing import Final

from ibfeed_simulator.market.calendar import business_day_before, weekly_volatility
from ibfeed_simulator.market.catalogue import BY_ROOT, PRODUCTS, Product

# The venue spells months by itself, so that tests can compare the product's spelling with it.
MONTH_CODES: Final = "FGHJKMNQUVXZ"  # January to December
MONTH_NAMES: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

# Conids have no order at IB. So a multiplication modulo 2**24 by an odd number, a bijection, scatters ours. They are
# unique and stable over restarts and rolls, and lead back to their contract without a table.
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
    def trading_class(self) -> str:
        """The exchange's name of the product. Each weekly contract has its own, such as VX48."""
        usual = self.product.trading_class or self.product.root
        return f"{usual}{self.last_trading_day.isocalendar().week:02d}" if self.product.weekly else usual

    @property
    def symbol(self) -> str:
        """The local symbol, such as CLZ6 or, at EUREX, ``FDAX 20261218 M``."""
        if self.product.exchange == "EUREX":
            return f"{self.trading_class} {self.last_trading_day:%Y%m%d} M"
        return f"{self.trading_class}{MONTH_CODES[int(self.month[4:]) - 1]}{self.month[3]}"

    @property
    def ltd(self) -> date:
        """IB's ``ltd``: of a cash-settled contract the day before it expires (recorded for ES)."""
        return self.last_trading_day if self.product.physical else business_day_before(self.last_trading_day)

    @property
    def long_cut_off(self) -> date:
        """The last day on which IB tolerates a long position in a contract with delivery."""
        return business_day_before(self.last_trading_day, 2) if self.product.physical else self.ltd


def _conid(product: Product, slot: int) -> int:
    return _BASE + (PRODUCTS.index(product) * _SLOTS + slot) * _SCATTER % _MODULUS


def underlying_conid(product: Product) -> int:
    return _conid(product, 0)


def contract_of(product: Product, year: int, month: int) -> Contract:
    slot = (year - _FIRST_YEAR) * 12 + month
    return Contract(_conid(product, slot), product, f"{year}{month:02d}", product.last_trading_day(year, month))


def weekly_contract_of(product: Product, week: int) -> Contract:
    day = weekly_volatility(week)
    return Contract(_conid(product, week), product, f"{day:%Y%m}", day)


def product_of_underlying(conid: int) -> Product | None:
    index, slot = divmod((conid - _BASE) * _GATHER % _MODULUS, _SLOTS)
    return PRODUCTS[index] if 0 <= conid - _BASE < _MODULUS and slot == 0 and index < len(PRODUCTS) else None


def find(conid: int) -> Contract | None:
    """Return the contract of a conid, even if it has expired or is not listed yet. None: the conid is not ours."""
    if not 0 <= conid - _BASE < _MODULUS:
        return None
    index, slot = divmod((conid - _BASE) * _GATHER % _MODULUS, _SLOTS)
    if index >= len(PRODUCTS) or not 0 < slot < _SLOTS:
        return None
    product = PRODUCTS[index]
    if product.weekly:
        return weekly_contract_of(product, slot)
    year, month = _FIRST_YEAR + (slot - 1) // 12, (slot - 1) % 12 + 1
    return contract_of(product, year, month) if MONTH_CODES[month - 1] in product.months else None


@lru_cache(maxsize=512)
def listed(root: str, today: date) -> tuple[Contract, ...]:
    """Return the contracts of ``root`` that trade on ``today`` or later, of all its products, nearest first.

    An unknown root has none.
    """
    found = [contract for product in BY_ROOT.get(root, ()) for contract in listed_of(product, today)]
    return tuple(sorted(found, key=lambda contract: contract.last_trading_day))


@lru_cache(maxsize=512)
def listed_of(product: Product, today: date) -> tuple[Contract, ...]:
    """Return one product's contracts that trade on ``today`` or later, nearest first."""
    alive = (contract for contract in _from(product, today) if contract.last_trading_day >= today)
    return tuple(islice(alive, product.listed))


def _from(product: Product, today: date) -> Iterator[Contract]:
    """Yield contracts without an end. The first may have expired already."""
    if product.weekly:
        monthly = {product.last_trading_day(today.year + add, month) for add in (0, 1) for month in range(1, 13)}
        weeks = (weekly_contract_of(product, week) for week in count((today - date(1990, 1, 3)).days // 7))
        yield from (contract for contract in weeks if contract.last_trading_day not in monthly)
    for index in count(today.year * 12 + today.month - 2):
        year, month = index // 12, index % 12 + 1
        if MONTH_CODES[month - 1] in product.months:
            yield contract_of(product, year, month)
