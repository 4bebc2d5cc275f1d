"""Parser of IB's answers about futures. Pure and lenient: an entry that makes no sense is left out and named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from ibfeed_api.calls import ResolvedContract, ResolvedProduct, ResolvedRoot
from ibfeed_api.instrument import (
    LONGEST_CURRENCY,
    LONGEST_EXCHANGE,
    LONGEST_TRADING_CLASS,
    Product,
    multiplier_text,
)
from ibfeed_api.symbology import MONTH_CODES, MONTH_NAMES, contract_month, prefix, symbol

_CODE_AND_YEAR: Final = re.compile(r" *(?P<code>[FGHJKMNQUVXZ])(?P<year>\d{1,2})", re.ASCII)  # CLF7, CL F27
_NAME_AND_YEAR: Final = re.compile(r" +(?P<name>[A-Z]{3}) (?P<year>\d{2})", re.ASCII)  # FDAX JUN 21, YM  JUN 19
_DATE: Final = re.compile(r" (?P<month>\d{6})\d{2} M", re.ASCII)  # FESX 20230616 M


class AnswerError(Exception):
    """IB's answer makes no sense."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of /trsrv/futures."""

    conid: int
    expiry: date
    ltd: date

    @property
    def last_trading_day(self) -> date:
        """The last day on which it may trade.

        For a contract that is settled in cash, IB's ``ltd`` is the day before. Example: ESZ3, of which IB says ltd 14
        and expiry 15 December 2023, traded until that Friday's opening.
        """
        return max(self.expiry, self.ltd)


def futures(found: Any, root: str) -> tuple[Listed, ...]:
    """Return the root's contracts, nearest expiry first; empty if IB does not know the root. Raises AnswerError."""
    if not isinstance(found, Mapping):
        raise AnswerError(f"/trsrv/futures answered {type(found).__name__} instead of an object")
    rows = found.get(root, [])
    if not isinstance(rows, list):
        raise AnswerError(f"/trsrv/futures has no list of contracts for {root}")
    listed = {row.conid: row for row in map(_row, rows) if row is not None}
    if rows and not listed:
        raise AnswerError(f"/trsrv/futures: none of the {len(rows)} rows of {root} can be read")
    return tuple(sorted(listed.values(), key=lambda one: (one.expiry, one.conid)))


def alive(listed: Iterable[Listed], since: date) -> tuple[Listed, ...]:
    """Return the rows whose last trading day is ``since`` or later."""
    return tuple(one for one in listed if one.last_trading_day >= since)


def contract(one: Listed, root: str, info: Any) -> ResolvedContract:
    """Return the contract, with its product and month from /iserver/contract/{conid}/info.

    The month is never taken from the expiry: CL and NG expire in the month before the contract's. Raises AnswerError if
    no month can be had, or the product has a name that no exchange gives.
    """
    if not isinstance(info, Mapping):
        raise AnswerError(f"its information is {type(info).__name__} instead of an object")
    product = Product(
        exchange=_word(info, "exchange", LONGEST_EXCHANGE),
        trading_class=_word(info, "trading_class", LONGEST_TRADING_CLASS),
        multiplier=multiplier_text(info.get("multiplier")),
        currency=_word(info, "currency", LONGEST_CURRENCY),
    )
    month = _month(info, root, product.trading_class, one.expiry)
    if month is None:
        raise AnswerError("neither contract_month nor local_symbol of its information names its month")
    return ResolvedContract(
        conid=one.conid,
        root=root,
        symbol=symbol(prefix(root, product.trading_class), month),
        exchange=product.exchange,
        contract_month=month,
        last_trading_day=one.last_trading_day.strftime("%Y%m%d"),
        trading_class=product.trading_class,
        multiplier=product.multiplier,
        currency=product.currency,
    )


def is_enough(read: Iterable[ResolvedContract], months: int, wanted: Product) -> bool:
    """Whether each ``wanted`` product has so many months among the contracts read, and there is such a product."""
    counts: dict[Product, int] = {}
    for one in read:
        if wanted.includes(one.product):
            counts[one.product] = counts.get(one.product, 0) + 1
    return bool(counts) and min(counts.values()) >= months


def answer(
    root: str,
    rows: Sequence[Listed],
    read: Mapping[Listed, ResolvedContract],
    unusable: Mapping[Listed, str],
    *,
    months: int,
    wanted: Product,
) -> ResolvedRoot:
    """Return the answer about a root.

    An unusable row is reported if it might be among the nearest ``months`` of a wanted product.

    Args:
        rows: those that have not expired, nearest first.
    """
    products: dict[Product, list[ResolvedContract]] = {}
    for row in rows:
        if row in read:
            products.setdefault(read[row].product, []).append(read[row])
    chosen = [one for product, mine in products.items() if wanted.includes(product) for one in mine[:months]]
    full = chosen and all(len(mine) >= months for product, mine in products.items() if wanted.includes(product))
    horizon = max(one.last_trading_day for one in chosen) if full else "99999999"
    return ResolvedRoot(
        root=root,
        contracts=tuple(sorted(chosen, key=lambda one: (one.last_trading_day, one.contract_month, one.conid))),
        products=tuple(
            ResolvedProduct(*product, months=len(mine), example=mine[0].symbol) for product, mine in products.items()
        ),
        unusable=tuple(
            why for row, why in unusable.items() if row in rows and f"{row.last_trading_day:%Y%m%d}" <= horizon
        ),
        unread=sum(row not in read and row not in unusable for row in rows),
    )


def _row(row: Any) -> Listed | None:
    if not isinstance(row, Mapping):
        return None
    conid, expiry = _conid(row.get("conid")), day(row.get("expirationDate"))
    if conid is None or expiry is None:
        return None
    return Listed(conid, expiry, day(row.get("ltd")) or expiry)


def _conid(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


def day(value: Any) -> date | None:
    """Read YYYYMMDD, number or string; None for anything else."""
    text = str(value)
    if len(text) != 8 or not text.isascii() or not text.isdecimal():
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _word(info: Mapping[str, Any], name: str, longest: int) -> str:
    """Return the name of an exchange, a class or a currency; empty if IB gives none."""
    value = info.get(name)
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if len(text) > longest or not (text.isascii() and text.isprintable()):
        raise AnswerError(f"{name} of its information is {text[:40]!r}, which is longer than any, or no plain text")
    return text


def _month(info: Mapping[str, Any], root: str, trading_class: str, expiry: date) -> str | None:
    try:
        return contract_month(str(info.get("contract_month") or ""))
    except ValueError:
        pass
    local = str(info.get("local_symbol") or "").strip().upper()
    # Local symbols begin with the class; older ones of some exchanges begin with the root.
    begins = sorted(filter(local.startswith, {root, trading_class} - {""}), key=len, reverse=True)
    for begin in begins:
        rest = local[len(begin) :]
        if match := _CODE_AND_YEAR.fullmatch(rest):
            return _near(match["year"], MONTH_CODES.index(match["code"]) + 1, expiry)
        if (match := _NAME_AND_YEAR.fullmatch(rest)) and match["name"] in MONTH_NAMES:
            return _near(match["year"], MONTH_NAMES.index(match["name"]) + 1, expiry)
        if match := _DATE.fullmatch(rest):
            try:
                return contract_month(match["month"])
            except ValueError:
                return None
    return None


def _near(digits: str, month: int, expiry: date) -> str:
    """Complete the year's last digits within the decade (or century) around the expiry; return year and month."""
    span = 10 ** len(digits)
    year = min(y for y in range(expiry.year - 1, expiry.year + span) if y % span == int(digits))
    return f"{year}{month:02d}"
