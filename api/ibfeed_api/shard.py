"""IbShard: the protocol between the operator and one worker.

``spec`` is written by the operator only, ``status`` by the shard's worker only. A report in ``status`` counts only
while its epoch equals the entry's: an older one speaks of an assignment that is over.
"""

from __future__ import annotations

import msgspec

from ibfeed_api.instrument import Product
from ibfeed_api.names import ContractState, EntryState, LogLevel, Session


class _Base(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class Mark(_Base, frozen=True, kw_only=True, gc=False):
    """How far a contract has been published: IB's ``_updated`` in ms and the record's ``seq``."""

    event_time: int
    seq: int


class Entry(_Base, frozen=True, kw_only=True, gc=False):
    """One contract of a shard."""

    conid: int
    symbol: str  # CLZ6
    root: str
    exchange: str = ""
    trading_class: str = ""
    multiplier: str = ""
    currency: str = ""
    contract_month: str = ""  # YYYYMM
    last_trading_day: str = ""  # YYYYMMDD
    slot: int  # for life; partition = slot % partitions(topic)
    epoch: int  # grows with every assignment of this contract
    state: EntryState
    depth: bool = False
    fresh: bool = False  # nobody had it before: what Kafka's tail does not hold was never published
    mark: Mark | None = None  # of the worker that published last; None: not known, the worker looks into Kafka

    @property
    def product(self) -> Product:
        return Product(self.exchange, self.trading_class, self.multiplier, self.currency)


class Account(_Base, frozen=True, kw_only=True):
    source: str
    index: int
    lease: str
    used_by: str = ""  # namespace/name of a worker that uses the same user: this one must not log in


class ShardSpec(_Base, frozen=True, kw_only=True):
    feed: str
    worker: int
    account: Account | None = None  # None: no account is free; the worker waits
    lines: int = 100
    contracts: tuple[Entry, ...] = ()
    home: tuple[int, ...] = ()  # conids lent to other workers while this one logs in anew: it is given them back
    log_level: LogLevel = LogLevel.INFO
    operator_key: str | None = None  # public key (see calls.py) of the operator that may ask this worker


class Report(_Base, frozen=True, kw_only=True, gc=False):
    conid: int
    epoch: int
    state: ContractState
    event_time: int | None = None
    seq: int | None = None
    last_tick_time: str | None = None
    message: str = ""  # why it does not publish, or has no order book: for a person, 256 characters at most
    # Kafka has records of the contract up to this epoch, which is not below the entry's: nothing is published under
    # that, and the worker waits for a higher one.
    kafka_epoch: int | None = None


class KafkaStatus(_Base, frozen=True, kw_only=True):
    """Whether records are acknowledged. ``reachable`` is None until something was tried; ``reason`` is one of
    ``names.Reason``, empty if nothing is wrong; ``message`` says cause, address and what to do."""

    reachable: bool | None = None
    reason: str = ""
    message: str = ""


class ShardStatus(_Base, frozen=True, kw_only=True):
    """``started_at`` is the worker process's start (RFC 3339, UTC): a status older than the pod's running container
    was written by a process that is gone."""

    observed_generation: int = 0
    started_at: str = ""
    session: Session = Session.STARTING
    reason: str = ""
    message: str = ""
    account: int | None = None
    market_data_live: bool | None = None
    kafka: KafkaStatus | None = None
    reference: str = ""  # what keeps it from writing records of its contracts; ticks go on all the same
    contract_count: int = 0
    lines: str = ""  # "6/100", for the printer column
    last_tick_time: str | None = None
    contracts: tuple[Report, ...] = ()


# msgspec learns a type when it first meets it, and the process dies if two threads then do so at the same moment. So it
# meets them here: in a worker, the thread that follows the shard is not the one that reads its status.
_LEARNT = (msgspec.json.Decoder(ShardSpec), msgspec.json.Decoder(ShardStatus))
