"""Ticks as a feed writes them to Kafka, at a pace, with a memory of what was written and when."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

import ibfeed
from ibfeed_api.records import (
    COUNT_BITS,
    HEADER_EPOCH,
    HEADER_SCHEMA,
    HEADER_WORKER,
    SCHEMA_CONTRACT,
    SCHEMA_TICK,
    ContractRecord,
    Tick,
    epoch_at,
    seq_of,
)

FEED: Final = "energy"
PARTITIONS: Final = 12  # a feed's own number
FIRST_CONID: Final = 300_000_000
_FLUSH_S: Final = 120.0
_MONTHS: Final = "FGHJKMNQUVXZ"
_BITS: Final = (1 << 64) - 1
_Header = tuple[str, str | bytes | None]


@dataclass(frozen=True, slots=True)
class Sent:
    """A tick, and when it was handed to Kafka's client."""

    symbol: str
    conid: int
    epoch: int
    seq: int
    event_ms: int
    price: str
    at_ns: int

    @property
    def order(self) -> tuple[int, int]:
        return self.epoch, self.seq


@dataclass
class Venue:
    """A feed of some contracts. ``sent`` has all its ticks, in the order in which they were written."""

    servers: str
    topics: ibfeed.Topics
    contracts: int = 50
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Connect to Kafka."""
        self.epoch = epoch_at(time.time())
        self._counts = [0] * self.contracts
        self._cents = [7100] * self.contracts
        self._random = random.Random(1)
        self._producer = Producer(
            {"bootstrap.servers": self.servers, "enable.idempotence": True, "linger.ms": 0, "log_level": 2}
        )

    def write_contracts(self) -> None:
        """Write the reference data, and wait until Kafka has them."""
        for slot in range(self.contracts):
            value = msgspec.json.encode(_contract(slot))
            key, headers = str(FIRST_CONID + slot), _headers(SCHEMA_CONTRACT)
            self._producer.produce(self.topics.contracts or "", value=value, key=key, partition=0, headers=headers)
        self.flush()

    def write(self, number: int, event_ms: int | None = None) -> Sent:
        """Write the next tick of one contract, whose event is now or at ``event_ms``."""
        slot = number % self.contracts
        self._counts[slot] += 1
        self._cents[slot] += self._random.choice((-1, 0, 1))
        at_ns = time.time_ns()
        sent = Sent(
            symbol=symbol_of(slot),
            conid=FIRST_CONID + slot,
            epoch=self.epoch,
            seq=seq_of(self.epoch, self._counts[slot]),
            event_ms=at_ns // 1_000_000 if event_ms is None else event_ms,
            price=f"{self._cents[slot] / 100:.2f}",
            at_ns=at_ns,
        )
        self.sent.append(sent)
        self.produce(sent)
        return sent

    def produce(self, sent: Sent) -> None:
        """Hand a tick to Kafka's client, once more if it was written before."""
        value = msgspec.json.encode(_tick(sent))
        headers: list[tuple[str, str | bytes | None]] = [
            *_headers(SCHEMA_TICK),
            (HEADER_EPOCH, str(sent.epoch).encode()),
        ]
        partition = (sent.conid - FIRST_CONID) % PARTITIONS
        self._producer.produce(
            self.topics.ticks or "", value=value, key=str(sent.conid), partition=partition, headers=headers
        )
        self._producer.poll(0)

    def run(self, per_s: float, seconds: float, stop: threading.Event | None = None) -> None:
        """Write at a pace, evenly spread, and wait until Kafka has all of it."""
        begin = time.monotonic()
        for number in range(int(per_s * seconds)):
            if stop is not None and stop.is_set():
                break
            if (left := begin + number / per_s - time.monotonic()) > 0:
                time.sleep(left)
            self.write(number)
        self.flush()

    def flush(self) -> None:
        left = self._producer.flush(_FLUSH_S)
        assert left == 0, f"Kafka did not take {left} records within {_FLUSH_S:g} s"

    def newest(self) -> dict[str, Sent]:
        """Return the newest tick of each contract, by symbol."""
        newest: dict[str, Sent] = {}
        for sent in self.sent:
            held = newest.get(sent.symbol)
            if held is None or held.order < sent.order:
                newest[sent.symbol] = sent
        return newest


def symbol_of(slot: int) -> str:
    """Return a symbol that has the form of IB's, such as T03Z6."""
    return f"T{slot // 12:02}{_MONTHS[slot % 12]}6"


def _contract(slot: int) -> ContractRecord:
    return ContractRecord(
        conid=FIRST_CONID + slot,
        symbol=symbol_of(slot),
        root=f"T{slot // 12:02}",
        exchange="NYMEX",
        trading_class=f"T{slot // 12:02}",
        multiplier=msgspec.Raw(b"1000"),
        currency="USD",
        min_price_increment=msgspec.Raw(b"0.01"),
        contract_month="202612",
        first_notice_day=None,
        last_trading_day="20261220",
        trading_hours=None,
        slot=slot,
        feed=FEED,
        market_data_type="RpB",
        timeliness="real_time",
        market_data_marks=["book"],
        at_ms=int(time.time() * 1000),
    )


def _tick(sent: Sent) -> Tick:
    """A tick's other numbers are mixed from its own, so that it is the same when it is written again."""
    count, dice = sent.seq % (1 << COUNT_BITS), _mixed(sent.conid << 24 ^ sent.seq)
    sizes = [msgspec.Raw(str(1 + (dice >> shift) % 64).encode()) for shift in (0, 8, 16)]
    return Tick(
        symbol=sent.symbol,
        conid=sent.conid,
        price=msgspec.Raw(sent.price.encode()),
        size=sizes[0],
        open_interest=msgspec.Raw(b"312456"),
        event_time=sent.event_ms,
        market_data_type="RpB",
        bid=msgspec.Raw(f"{float(sent.price) - 0.01 * (dice >> 24 & 1):.2f}".encode()),
        bid_size=sizes[1],
        ask=msgspec.Raw(f"{float(sent.price) + 0.01 * (1 + (dice >> 25 & 1)):.2f}".encode()),
        ask_size=sizes[2],
        volume=msgspec.Raw(str(87_000 + 30 * count + (dice >> 26) % 30).encode()),
        received_ns=sent.event_ms * 1_000_000 + (dice >> 31) % 200_000_000,
        seq=sent.seq,
        flags=["price", "size", "volume"] if dice >> 60 & 1 else ["bid", "bid_size"],
    )


def _mixed(number: int) -> int:
    """Return 64 bits that look random."""
    number = (number ^ number >> 31) * 0x9E3779B97F4A7C15 & _BITS
    return (number ^ number >> 29) * 0xBF58476D1CE4E5B9 & _BITS


def _headers(schema: str) -> list[_Header]:
    return [(HEADER_WORKER, f"{FEED}-0".encode()), (HEADER_SCHEMA, schema.encode())]


@contextmanager
def made_topics(servers: str, suffix: str, partitions: int = PARTITIONS) -> Iterator[ibfeed.Topics]:
    """Topics of a feed, which are deleted at the end. There are no order books."""
    names = {kind: f"bench-{kind}-{suffix}" for kind in ("ticks", "events", "contracts")}
    wanted = [
        NewTopic(names["ticks"], partitions, 1),
        NewTopic(names["events"], 1, 1),
        NewTopic(names["contracts"], 1, 1, config={"cleanup.policy": "compact"}),
    ]
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
    for made in admin.create_topics(wanted).values():
        made.result(30)
    try:
        yield ibfeed.Topics(names["ticks"], None, names["events"], names["contracts"])
    finally:
        for gone in admin.delete_topics(list(names.values())).values():
            gone.exception(30)


def numbered(sent: Sequence[Sent]) -> dict[str, list[Sent]]:
    """Return the ticks by symbol, in the order of their numbers."""
    found: dict[str, list[Sent]] = {}
    for tick in sorted(sent, key=lambda one: one.order):
        found.setdefault(tick.symbol, []).append(tick)
    return found
