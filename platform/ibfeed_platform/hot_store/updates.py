"""Records of Kafka as updates of the hot store. Numbers stay the text that IB wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ibfeed.events import Contract
from ibfeed.records import decode_change, decode_event
from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.ticks import NUMBERS, decode_exact


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record comes from, by its headers and its place in Kafka."""

    epoch: int
    worker: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Latest:
    """A whole hash, which takes the place of an older one.

    Args:
        epoch, seq: its order; the higher pair is the newer one.
        event_ms: IB's time in ms since 1970, from which the expiry counts.
    """

    key: str
    epoch: int
    seq: int
    event_ms: int
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BookChange:
    """A change of an order book, which Redis applies to the book that it holds.

    Args:
        memory_key: the key of what the next change is applied to.
        bids, asks: JSON lists of [price, size], both texts.
        fields: what the book's hash holds besides.
    """

    key: str
    memory_key: str
    epoch: int
    seq: int
    event_ms: int
    kind: Literal["snapshot", "delta", "clear"]
    bids: str
    asks: str
    fields: Mapping[str, str]


Update = Latest | BookChange


def tick_update(value: bytes, origin: Origin, contract: Contract | None, keys: Keys) -> Latest:
    """Return the update of a record on ``ticklast``.

    Args:
        value: the record's value.
        contract: the contract's reference data; None: not known.

    Raises one of ``ibfeed.records.UNDECODABLE`` if the value is not as its schema says.
    """
    tick = decode_exact(value)
    fields = {name: text for name in NUMBERS if (text := tick.text(name)) is not None}
    fields |= {
        "symbol": tick.symbol,
        "conid": str(tick.conid),
        "event_time": str(tick.event_time),
        "received_ns": str(tick.received_ns),
        "market_data_type": tick.market_data_type,
        "flags": " ".join(tick.flags),
        "state": tick.state,
        "price_state": tick.price_state,
    }
    fields |= _place(origin, tick.seq) | _units(contract)
    return Latest(keys.tick(tick.symbol), origin.epoch, tick.seq, tick.event_time, fields)


def book_update(value: bytes, origin: Origin, contract: Contract | None, keys: Keys) -> BookChange:
    """Return the update of a record on ``l2-data``. Arguments and errors are those of ``tick_update``."""
    change = decode_change(value)
    fields = {
        "symbol": change.symbol,
        "conid": str(change.conid),
        "event_time": str(change.event_time),
        "flags": " ".join(change.flags),
    }
    return BookChange(
        key=keys.book(change.symbol),
        memory_key=keys.book_memory(change.symbol),
        epoch=origin.epoch,
        seq=change.seq,
        event_ms=change.event_time,
        kind=change.kind,
        bids=_levels(change.bids),
        asks=_levels(change.asks),
        fields=fields | _place(origin, change.seq) | _units(contract),
    )


def status_update(value: bytes, keys: Keys) -> Latest:
    """Return the update of a record on ``feed-events``. Its order is the worker's clock, since it has no ``seq``.

    Raises one of ``ibfeed.records.UNDECODABLE`` if the value is not as its schema says.
    """
    event = decode_event(value)
    fields = {"kind": event.kind, "worker": event.worker, "at_ms": str(event.at_ms), "detail": event.detail}
    fields |= {"epoch": "0", "seq": str(event.at_ms)}
    fields |= {} if event.symbol is None else {"symbol": event.symbol}
    return Latest(keys.status(event.worker), 0, event.at_ms, event.at_ms, fields)


def newest(updates: Iterable[Update]) -> list[Update]:
    """Leave out what a later update of the same batch replaces anyway. Changes of books are all kept, in order."""
    latest: dict[str, Latest] = {}
    changes: list[Update] = []
    for update in updates:
        if isinstance(update, BookChange):
            changes.append(update)
            continue
        held = latest.get(update.key)
        if held is None or (held.epoch, held.seq) < (update.epoch, update.seq):
            latest[update.key] = update
    return [*latest.values(), *changes]


def _place(origin: Origin, seq: int) -> dict[str, str]:
    return {
        "epoch": str(origin.epoch),
        "seq": str(seq),
        "worker": origin.worker,
        "partition": str(origin.partition),
        "offset": str(origin.offset),
    }


def _units(contract: Contract | None) -> dict[str, str]:
    """Return what the reference data tell of the values' units, as far as they are known."""
    if contract is None:
        return {}
    told = {
        "root": contract.root,
        "exchange": contract.exchange,
        "currency": contract.currency,
        "multiplier": contract.multiplier,
        "min_price_increment": contract.min_price_increment,
        "contract_month": contract.contract_month,
        "last_trading_day": contract.last_trading_day,
    }
    return {name: str(value) for name, value in told.items() if value is not None}


def _levels(levels: Iterable[tuple[object, object]]) -> str:
    return json.dumps([[str(price), str(size)] for price, size in levels], separators=(",", ":"))
