"""A short way to write the entries of a shard in tests, for which no part of the product is needed."""

from __future__ import annotations

from typing import Any

from ibfeed_api.shard import Entry, EntryState


def entry(conid: int, *, root: str = "CL", day: str = "20271220", **facts: Any) -> Entry:
    """An entry for a contract of ``root`` whose last trading day is ``day``. ``facts``: any other fields of it."""
    defaults: dict[str, Any] = {
        "symbol": f"{root}{conid}",
        "exchange": "NYMEX",
        "contract_month": day[:6],
        "last_trading_day": day,
        "slot": 0,
        "epoch": 1,
        "state": EntryState.ACTIVE,
    }
    return Entry(conid=conid, root=root, **(defaults | facts))
