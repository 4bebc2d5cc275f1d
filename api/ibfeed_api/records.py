"""The records on Kafka. ``schemas/`` holds their JSON Schemas, and tests compare the two.

Prices and sizes carry IB's decimals exactly. ``Number`` holds the digits as IB wrote them, and becomes a JSON number
without passing through a binary float.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

TOPIC_TICKS: Final = "ticklast"
TOPIC_DEPTH: Final = "l2-data"
TOPIC_EVENTS: Final = "feed-events"
TOPIC_CONTRACTS: Final = "contracts"
HEADER_EPOCH: Final = "epoch"
HEADER_WORKER: Final = "worker"
HEADER_SCHEMA: Final = "schema"

SCHEMA_TICK: Final = "ticklast/2"
SCHEMA_DEPTH: Final = "l2-data/2"
SCHEMA_EVENT: Final = "feed-events/2"
SCHEMA_CONTRACT: Final = "contracts/1"

# ``msgspec.Raw`` is copied into the output as it is: the text of a JSON number such as b"71.90".
Number = msgspec.Raw


class Tick(msgspec.Struct, frozen=True, gc=False):
    """The value of a record on ``ticklast``. The first seven keys are fixed; others may be added after the last.

    ``event_time`` is IB's ``_updated`` in ms (500 ms conflation). ``received_ns`` is the worker's clock when the frame
    arrived. ``seq`` grows strictly per contract, over all workers (see ``seq_of``).
    """

    symbol: str
    conid: int
    price: Number
    size: Number
    open_interest: Number | None
    event_time: int
    market_data_type: str
    bid: Number | None
    bid_size: Number | None
    ask: Number | None
    ask_size: Number | None
    volume: Number | None
    received_ns: int
    seq: int
    flags: list[str]


class DepthRecord(msgspec.Struct, frozen=True):
    """The value of a record on ``l2-data``."""

    symbol: str
    conid: int
    event_time: int
    kind: Literal["snapshot", "delta", "clear"]
    bids: list[tuple[Number, Number]]
    asks: list[tuple[Number, Number]]
    seq: int
    flags: list[str]


class FeedEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of a record on ``feed-events``. By these a consumer tells a quiet market from a dead feed."""

    kind: Literal["assigned", "released", "gap", "session", "market_data_type", "alive"]
    feed: str
    worker: str
    at_ms: int
    conid: int | None = None
    symbol: str | None = None
    epoch: int | None = None
    # Of a gap: the event times, in ms, of the last record before it and of the first after it. None: not known.
    from_ms: int | None = None
    to_ms: int | None = None
    detail: str = ""


class ContractRecord(msgspec.Struct, frozen=True, gc=False):
    """The value of a record on ``contracts``: all that is known of one contract. None, or empty: not known.

    A field that Databento's ``definition`` has, too, has the same name.
    """

    conid: int
    symbol: str
    root: str
    exchange: str | None
    trading_class: str | None
    multiplier: Number | None
    currency: str | None
    min_price_increment: Number | None
    contract_month: str | None  # YYYYMM
    first_notice_day: str | None  # YYYYMMDD
    last_trading_day: str | None  # YYYYMMDD
    trading_hours: list[tuple[int, int]] | None  # opening and closing in ms since 1970 (UTC), in order
    slot: int
    feed: str
    market_data_type: str | None  # IB's field 6509 as it came
    timeliness: str | None  # the same in words
    market_data_marks: list[str]
    at_ms: int  # the worker's clock when it was written


COUNT_BITS: Final = 20
# So far below 2**33 that epochs can grow from there: by one assignment a second for half a year.
LATEST_EPOCH: Final = 2**33 - 2**24


def seq_of(epoch: int, count: int) -> int:
    """Return ``seq`` of the ``count``-th record of an epoch. A later epoch's is higher, without a look at Kafka.

    It is a sum. So a count beyond 2**20 (six days of a contract at IB's fastest pace) goes on growing, into the numbers
    of the epochs that follow. Epochs are a second apart, and no contract has a million records in a second.
    ``seq`` stays below 2**53, exact in every JSON reader, up to epoch 2**33: the year 2242.
    """
    return (epoch << COUNT_BITS) + count


def epoch_of(seq: int) -> int:
    """Return the epoch whose numbers begin at or before ``seq``. After 2**20 records of an epoch it is a later one."""
    return seq >> COUNT_BITS


def epoch_at(now_s: float) -> int:
    """Return the least epoch that may be given at a moment (seconds since 1970): the number of that second.

    A deleted resource leaves no memory of its contracts' epochs. This way a contract still begins above all that was
    given before. Earlier epochs counted assignments, with 2**32 numbers each. They are lower in any case, and their
    ``seq`` is lower as long as they are below 400,000.
    """
    return max(0, min(int(now_s), LATEST_EPOCH))
