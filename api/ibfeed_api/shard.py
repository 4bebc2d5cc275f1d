"""IbShard: the protocol between the operator and one worker.

``spec`` is written by the operator only, ``status`` by the shard's worker only. A report in ``status`` counts only
while its epoch equals the entry's: an older one speaks of an assignment that is over.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from ibfeed_api.instrument import Instrument
from ibfeed_api.worker_pod import LogLevel

KAFKA_ANSWER_S: Final = 3.0  # a worker whose record has waited for so long says that it cannot publish
KAFKA_LOOK_S: Final = 4.5  # within so much one that has nothing to publish finds out that it could not
KAFKA_PAUSE_S: Final = 15.0  # a worker that cannot publish tries again after so much at the latest


class Session(StrEnum):
    """``IbShard.status.session``: where the worker's session with IB stands."""

    STARTING = "Starting"  # process is up, nothing known yet
    WAITING_FOR_ACCOUNT = "WaitingForAccount"  # no account given, or its Lease is held by somebody else
    STARTING_GATEWAY = "StartingGateway"
    LOGGING_IN = "LoggingIn"
    CONNECTING = "Connecting"  # logged in; websocket not yet usable
    STREAMING = "Streaming"
    RECONNECTING = "Reconnecting"  # was streaming; websocket or brokerage session is being repaired
    BACKING_OFF = "BackingOff"  # something failed; the message says what, and when the next try is
    PARKED = "Parked"  # only a person can help (wrong password, second factor, locked)
    STOPPING = "Stopping"
    STOPPED = "Stopped"


class EntryState(StrEnum):
    """``IbShard.spec.contracts[].state``: what the operator wants the worker to do with a contract."""

    STANDBY = "Standby"  # subscribe and buffer, publish nothing
    ACTIVE = "Active"  # subscribe and publish
    RETIRING = "Retiring"  # stop publishing, flush, report ``released``


class ContractState(StrEnum):
    """``IbShard.status.contracts[].state``: what the worker reports, always with the entry's epoch."""

    SUBSCRIBING = "subscribing"
    WARM = "warm"
    PUBLISHING = "publishing"
    SILENT = "silent"  # nothing comes although it trades, and a question has not been answered
    REFUSED = "refused"  # IB answered the subscription with an error
    RELEASED = "released"


class _ShardStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class Mark(_ShardStruct, frozen=True, kw_only=True, gc=False):
    """How far a contract has been published: IB's ``_updated`` in ms and the record's ``seq``."""

    event_time: int
    seq: int


class Entry(Instrument, frozen=True, kw_only=True, gc=False):
    """One contract of a shard."""

    slot: int  # for life; its partition is partition_of(slot, partitions)
    epoch: int  # grows with every assignment of this contract
    state: EntryState
    depth: bool = False
    fresh: bool = False  # nobody had it before: what Kafka's tail does not hold was never published
    mark: Mark | None = None  # of the worker that published last; None: not known, the worker looks into Kafka


class Account(_ShardStruct, frozen=True, kw_only=True):
    source: str
    index: int
    lease: str
    used_by: str = ""  # namespace/name of a worker that uses the same user: this one must not log in


class ShardSpec(_ShardStruct, frozen=True, kw_only=True):
    feed: str
    worker: int
    account: Account | None = None  # None: no account is free; the worker waits
    lines: int = 100
    contracts: tuple[Entry, ...] = ()
    home: tuple[int, ...] = ()  # conids lent to other workers while this one logs in anew: it is given them back
    log_level: LogLevel = LogLevel.INFO
    operator_key: str | None = None  # public key (see calls.py) of the operator that may ask this worker


class Report(_ShardStruct, frozen=True, kw_only=True, gc=False):
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


class KafkaStatus(_ShardStruct, frozen=True, kw_only=True):
    """Whether records are acknowledged. ``reachable`` is None until something was tried; ``reason`` is one of
    ``names.Reason``, empty if nothing is wrong; ``message`` says cause, address and what to do."""

    reachable: bool | None = None
    reason: str = ""
    message: str = ""


class ShardStatus(_ShardStruct, frozen=True, kw_only=True):
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
