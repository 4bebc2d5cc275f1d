"""Numbers as IB writes them: strings, with its own abbreviations."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class PriceForm:
    """Prices as whole ticks, written with the product's decimals without a binary float on the way."""

    unit: int  # one tick in the last decimal place: 25 for a tick of 0.25
    decimals: int

    @classmethod
    def of(cls, tick: str) -> PriceForm:
        sign, _, exponent = Decimal(tick).as_tuple()
        if sign or not isinstance(exponent, int):
            raise ValueError(f"not a tick size: {tick!r}")
        decimals = max(0, -exponent)
        return cls(int(Decimal(tick).scaleb(decimals)), decimals)

    def ticks(self, price: str) -> int:
        """Return the whole ticks nearest to a decimal string."""
        return int((Decimal(price).scaleb(self.decimals) / self.unit).to_integral_value())

    def text(self, ticks: int) -> str:
        value = ticks * self.unit
        if not self.decimals:
            return str(value)
        sign, value = ("-", -value) if value < 0 else ("", value)
        whole, rest = divmod(value, 10**self.decimals)
        return f"{sign}{whole}.{rest:0{self.decimals}d}"


def size(number: int) -> str:
    """Return a size with thousands commas: ``1,300``."""
    return f"{number:,}"


def rounded(number: int) -> str:
    """Return the text of field 87: ``3.1K``, ``12.2M``; small numbers stay as they are."""
    if number >= 1_000_000:
        return f"{number / 1_000_000:.3g}M"
    if number >= 1_000:
        return f"{number / 1_000:.3g}K" if number < 999_500 else "1M"
    return str(number)


def signed(form: PriceForm, ticks: int) -> str:
    """Return the text of field 82: a change shows its sign, except zero."""
    return f"+{form.text(ticks)}" if ticks > 0 else form.text(ticks)
