"""A contract's record, and its relation to the records that are already on the topic. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from ibfeed_api.records import ContractRecord
from ibfeed_api.shard import Entry
from ibfeed_worker.hours.hours import Hours
from ibfeed_worker.ticks.availability import availability

KEPT: Final = timedelta(days=5)  # after a contract's last trading day, while its trades are still settled and looked up


class _Stored(ContractRecord, frozen=True):
    """A record as it is read. msgspec decodes a number's digits, but not digits or null."""

    multiplier: msgspec.Raw
    min_price_increment: msgspec.Raw


_decoder: Final = msgspec.json.Decoder(_Stored)
_encoder: Final = msgspec.json.Encoder()


def compose(
    entry: Entry,
    *,
    feed: str,
    increment: str | None,
    hours: Hours,
    kind: str | None,
    before: ContractRecord | None,
    at_ms: int,
) -> ContractRecord:
    """Return the record of all that is known of a contract. Facts that this process lacks are taken from ``before``.

    Args:
        increment: a decimal number's text.
        kind: the latest field 6509.
    """
    kind = kind or (before.market_data_type if before is not None else None)
    said = availability(kind) if kind else None
    spans = [(int(span.opening * 1000), int(span.closing * 1000)) for span in hours.spans]
    return ContractRecord(
        conid=entry.conid,
        symbol=entry.symbol,
        root=entry.root,
        exchange=entry.exchange or None,
        trading_class=entry.trading_class or None,
        multiplier=_number(entry.multiplier),
        currency=entry.currency or None,
        min_price_increment=_number(increment) if increment else (before.min_price_increment if before else None),
        contract_month=entry.contract_month or None,
        first_notice_day=None,  # no answer of the gateway has it
        last_trading_day=entry.last_trading_day or None,
        trading_hours=spans or (before.trading_hours if before is not None else None),
        slot=entry.slot,
        feed=feed,
        market_data_type=kind,
        timeliness=said.timeliness if said else None,
        market_data_marks=list(said.marks) if said else [],
        at_ms=at_ms,
    )


def decode(value: bytes) -> ContractRecord | None:
    """Read a record; None if it is not ours, or of a later version."""
    try:
        stored = _decoder.decode(value)
    except msgspec.DecodeError:
        return None
    return ContractRecord(
        **msgspec.structs.asdict(stored)
        | {
            "multiplier": _number(bytes(stored.multiplier).decode()),
            "min_price_increment": _number(bytes(stored.min_price_increment).decode()),
        }
    )


def encode(record: ContractRecord) -> bytes:
    return _encoder.encode(record)


def is_news(record: ContractRecord, before: ContractRecord | None) -> bool:
    """Whether the record differs in more than the time."""
    return before is None or encode(msgspec.structs.replace(before, at_ms=record.at_ms)) != encode(record)


def is_over(record: ContractRecord, today: date) -> bool:
    """Whether a contract expired so long ago that its record is not needed any more."""
    text = record.last_trading_day or ""
    try:
        last = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return today > last + KEPT


def increment_of(found: Any) -> str | None:
    """Return the smallest price step in ``/iserver/contract/{conid}/info-and-rules``, as a decimal number's text."""
    rules = found.get("rules") if isinstance(found, Mapping) else None
    value = rules.get("increment") if isinstance(rules, Mapping) else None
    text = "" if isinstance(value, bool) or value is None else str(value).strip()
    return text if _number(text) is not None else None


def _number(text: str) -> msgspec.Raw | None:
    """Return the text of a positive JSON number; None for anything else."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or number <= 0 or abs(number.adjusted()) > 20:
        return None
    plain = f"{number:f}"
    return msgspec.Raw((plain.rstrip("0").rstrip(".") if "." in plain else plain).encode())
