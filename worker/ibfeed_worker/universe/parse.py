"""IB's answers about futures as contracts. Pure and lenient: a row that makes no sense is left out and named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from ibfeed_api.calls import ResolvedContract
from ibfeed_api.symbology import MONTH_CODES, contract_month, symbol

_LOCAL: Final = re.compile(r"^(?P<root>[A-Z0-9]+?)(?P<code>[FGHJKMNQUVXZ])(?P<year>\d{1,2})$")


class BadAnswer(Exception):
    """IB's answer can't be what it should be."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of /trsrv/futures."""

    conid: int
    expiry: date
    ltd: date

    @property
    def last_trading_day(self) -> date:
        """The last day on which it may trade.

        IB's ``ltd`` of what is settled in cash is the day before: ESZ3, of which IB says ltd 14 and expiry 15 December
        2023, traded until that Friday's opening.
        """
        return max(self.expiry, self.ltd)


def futures(found: Any, root: str) -> tuple[Listed, ...]:
    """The root's contracts, nearest expiry first; empty if IB does not know the root. Raises BadAnswer."""
    if not isinstance(found, Mapping):
        raise BadAnswer(f"/trsrv/futures answered {type(found).__name__} instead of an object")
    rows = found.get(root, [])
    if not isinstance(rows, list):
        raise BadAnswer(f"/trsrv/futures has no list of contracts for {root}")
    listed = {row.conid: row for row in map(_row, rows) if row is not None}
    if rows and not listed:
        raise BadAnswer(f"/trsrv/futures: none of the {len(rows)} rows of {root} can be read")
    return tuple(sorted(listed.values(), key=lambda one: (one.expiry, one.conid)))


def nearest(listed: tuple[Listed, ...], count: int, since: date) -> tuple[Listed, ...]:
    """The ``count`` nearest whose last trading day is ``since`` or later."""
    return tuple(one for one in listed if one.last_trading_day >= since)[:count]


def contract(one: Listed, root: str, info: Any) -> ResolvedContract:
    """The contract with its month from /iserver/contract/{conid}/info. Raises BadAnswer if no month can be had.

    Never from the expiry: CL and NG expire in the month before the contract's.
    """
    if not isinstance(info, Mapping):
        raise BadAnswer(f"contract {one.conid}: info is {type(info).__name__}")
    month = _month(info, root, one.expiry)
    if month is None:
        raise BadAnswer(f"contract {one.conid} of {root}: neither contract_month nor local_symbol names its month")
    exchange = info.get("exchange")
    return ResolvedContract(
        conid=one.conid,
        root=root,
        symbol=symbol(root, month),
        exchange=exchange if isinstance(exchange, str) else "",
        contract_month=month,
        last_trading_day=one.last_trading_day.strftime("%Y%m%d"),
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
    """YYYYMMDD, number or string; None for anything else."""
    text = str(value)
    if len(text) != 8 or not text.isascii() or not text.isdecimal():
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _month(info: Mapping[str, Any], root: str, expiry: date) -> str | None:
    try:
        return contract_month(str(info.get("contract_month") or ""))
    except ValueError:
        pass
    local = _LOCAL.match(str(info.get("local_symbol") or "").replace(" ", "").upper())
    if local is None or local["root"] != root:
        return None
    month = MONTH_CODES.index(local["code"]) + 1
    # The year's last digits, in the decade (or century) around the expiry.
    span = 10 ** len(local["year"])
    year = min(y for y in range(expiry.year - 1, expiry.year + span) if y % span == int(local["year"]))
    return f"{year}{month:02d}"
