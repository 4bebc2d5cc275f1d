"""Records as a worker writes them, for the tests of the package ``ibfeed``. The product's own types encode them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from ibfeed_api.records import (
    HEADER_EPOCH,
    HEADER_SCHEMA,
    HEADER_WORKER,
    SCHEMA_CONTRACT,
    SCHEMA_DEPTH,
    SCHEMA_EVENT,
    SCHEMA_TICK,
    TOPIC_CONTRACTS,
    TOPIC_DEPTH,
    TOPIC_EVENTS,
    TOPIC_TICKS,
    ContractRecord,
    DepthRecord,
    FeedEvent,
    Tick,
    seq_of,
)

EPOCH = 1_795_244_400
CONID = 212_921_504
AT_MS = 1_795_244_400_123
Kind = Literal["snapshot", "delta", "clear"]


@dataclass(frozen=True)
class FakeMessage:
    """A record as the Kafka client would hand it over."""

    of_topic: str
    of_key: bytes
    of_value: bytes | None
    of_headers: list[tuple[str, str | bytes | None]] = field(default_factory=list)
    of_error: str | None = None
    of_offset: int = 0

    def topic(self) -> str:
        return self.of_topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.of_offset

    def key(self) -> bytes:
        return self.of_key

    def value(self) -> bytes | None:
        return self.of_value

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        return self.of_headers

    def timestamp(self) -> tuple[int, int]:
        return 1, AT_MS

    def error(self) -> str | None:
        return self.of_error


def headers(schema: str, worker: str, epoch: int | None) -> list[tuple[str, str | bytes | None]]:
    found: list[tuple[str, str | bytes | None]] = [(HEADER_WORKER, worker.encode()), (HEADER_SCHEMA, schema.encode())]
    if epoch is not None:
        found.append((HEADER_EPOCH, str(epoch).encode()))
    return found


def tick(
    count: int = 1,
    *,
    conid: int = CONID,
    symbol: str = "CLZ6",
    epoch: int = EPOCH,
    price: str = "71.90",
    worker: str = "energy-0",
    schema: str = SCHEMA_TICK,
    flags: Iterable[str] = ("price",),
) -> FakeMessage:
    """The ``count``-th tick of an epoch. Its size is the count, so that a test can tell ticks apart."""
    record = Tick(
        symbol=symbol,
        conid=conid,
        price=msgspec.Raw(price.encode()),
        size=msgspec.Raw(str(count).encode()),
        open_interest=None,
        event_time=AT_MS + count,
        market_data_type="RpB",
        bid=msgspec.Raw(b"71.89"),
        bid_size=msgspec.Raw(b"12"),
        ask=msgspec.Raw(b"71.91"),
        ask_size=msgspec.Raw(b"9"),
        volume=msgspec.Raw(b"87250"),
        received_ns=AT_MS * 1_000_000 + 1,
        seq=seq_of(epoch, count),
        flags=list(flags),
    )
    return FakeMessage(TOPIC_TICKS, str(conid).encode(), msgspec.json.encode(record), headers(schema, worker, epoch))


def change(
    kind: Kind,
    count: int = 1,
    *,
    bids: Iterable[tuple[str, str]] = (),
    asks: Iterable[tuple[str, str]] = (),
    conid: int = CONID,
    epoch: int = EPOCH,
    worker: str = "energy-0",
    flags: Iterable[str] = (),
) -> FakeMessage:
    """The ``count``-th record of an order book in an epoch."""
    record = DepthRecord(
        symbol="CLZ6",
        conid=conid,
        event_time=AT_MS + count,
        kind=kind,
        bids=[(msgspec.Raw(price.encode()), msgspec.Raw(size.encode())) for price, size in bids],
        asks=[(msgspec.Raw(price.encode()), msgspec.Raw(size.encode())) for price, size in asks],
        seq=seq_of(epoch, count),
        flags=list(flags),
    )
    value = msgspec.json.encode(record)
    return FakeMessage(TOPIC_DEPTH, str(conid).encode(), value, headers(SCHEMA_DEPTH, worker, epoch))


def feed_event(kind: Any, *, feed: str = "energy", schema: str = SCHEMA_EVENT, **more: Any) -> FakeMessage:
    record = FeedEvent(**{"kind": kind, "feed": feed, "worker": f"{feed}-0", "at_ms": AT_MS, **more})
    value = msgspec.json.encode(record)
    return FakeMessage(TOPIC_EVENTS, b"key", value, headers(schema, record.worker, record.epoch))


def contract(*, conid: int = CONID, symbol: str = "CLZ6", root: str = "CL", feed: str = "energy") -> FakeMessage:
    record = ContractRecord(
        conid=conid,
        symbol=symbol,
        root=root,
        exchange="NYMEX",
        trading_class=root,
        multiplier=msgspec.Raw(b"1000"),
        currency="USD",
        min_price_increment=msgspec.Raw(b"0.01"),
        contract_month="202612",
        first_notice_day=None,
        last_trading_day="20261120",
        trading_hours=[(1_795_129_200_000, 1_795_212_000_000)],
        slot=0,
        feed=feed,
        market_data_type="RpB",
        timeliness="real_time",
        market_data_marks=["book"],
        at_ms=AT_MS,
    )
    value = msgspec.json.encode(record)
    return FakeMessage(TOPIC_CONTRACTS, str(conid).encode(), value, headers(SCHEMA_CONTRACT, f"{feed}-0", None))


def tombstone(conid: int = CONID) -> FakeMessage:
    return FakeMessage(TOPIC_CONTRACTS, str(conid).encode(), None, headers(SCHEMA_CONTRACT, "energy-0", None))
