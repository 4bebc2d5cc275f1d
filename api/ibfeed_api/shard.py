"""IbShard: the protocol between the operator and one worker.

Only the operator writes ``spec``, and only the shard's worker writes ``status``. A report in ``status`` counts only
while its epoch equals the entry's. A report of an older epoch is about an assignment that is over.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from ibfeed_api.failsafe import Member
from ibfeed_api.instrument import Instrument
from ibfeed_api.worker_pod import LogLevel

KAFKA_ANSWER_S: Final = 3.0  # after a record has waited so long, a worker reports that it cannot publish
KAFKA_LOOK_S: Final = 4.5  # a worker with nothing to publish finds out within this time that it could not
KAFKA_PAUSE_S: Final = 15.0  # a worker that cannot publish tries again after this time at the latest


class Session(StrEnum):
    """``IbShard.status.session``: where the worker's session with IB stands."""

    STARTING = "Starting"  # the process is up, and knows nothing yet
    WAITING_FOR_ACCOUNT = "WaitingForAccount"  # it has no account, or another worker holds the account's Lease
    STARTING_GATEWAY = "StartingGateway"
    LOGGING_IN = "LoggingIn"
    CONNECTING = "Connecting"  # logged in; websocket not yet usable
    STREAMING = "Streaming"
    RECONNECTING = "Reconnecting"  # it was streaming, and repairs its websocket or brokerage session
    BACKING_OFF = "BackingOff"  # something failed; the message says what, and when the next try is
    PARKED = "Parked"  # only a person can help (wrong password, second factor, locked)
    STOPPING = "Stopping"
    STOPPED = "Stopped"


class EntryState(StrEnum):
    """``IbShard.spec.contracts[].state``: the operator's order to the worker for one contract."""

    STANDBY = "Standby"  # subscribe and buffer, publish nothing
    ACTIVE = "Active"  # subscribe and publish
    RETIRING = "Retiring"  # stop publishing, flush, report ``released``


class ContractState(StrEnum):
    """``IbShard.status.contracts[].state``: the worker's report of one contract, always with the entry's epoch."""

    SUBSCRIBING = "subscribing"
    WARM = "warm"
    PUBLISHING = "publishing"
    SILENT = "silent"  # nothing comes although it trades, and IB did not answer when it was asked again
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

    slot: int  # kept for life; the partition is partition_of(slot, partitions)
    epoch: int  # grows with every assignment of this contract
    state: EntryState
    depth: bool = False
    hot: bool = False  # a Standby entry of no move: this worker is the heir, in case that the contract's own is lost
    fresh: bool = False  # no worker had it before: a record that Kafka's tail does not hold was never published
    mark: Mark | None = None  # of the worker that published last; None: not known, so the worker reads Kafka's tail


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
    home: tuple[int, ...] = ()  # conids lent to other workers while this one logs in again; it gets them back
    log_level: LogLevel = LogLevel.INFO
    operator_key: str | None = None  # public key (see calls.py) of the operator that may ask this worker
    members: tuple[Member, ...] = ()  # processes that this worker asks when it can't renew its Lease (failsafe.py)


class Report(_ShardStruct, frozen=True, kw_only=True, gc=False):
    conid: int
    epoch: int
    state: ContractState
    event_time: int | None = None
    seq: int | None = None
    last_tick_time: str | None = None
    message: str = ""  # why it does not publish, or has no order book: for a person, 256 characters at most
    # Kafka has records of the contract up to this epoch, which is not below the entry's. The worker publishes nothing
    # under the entry's epoch, and waits for a higher one.
    kafka_epoch: int | None = None


class KafkaStatus(_ShardStruct, frozen=True, kw_only=True):
    """Whether Kafka acknowledges records.

    ``reachable`` is None until something was tried. ``reason`` is a ``reasons.Reason``, or empty if nothing is wrong.
    ``message`` says cause, address and what to do.
    """

    reachable: bool | None = None
    reason: str = ""
    message: str = ""


class ShardStatus(_ShardStruct, frozen=True, kw_only=True):
    """The worker's report.

    ``started_at`` is the start of the worker's process (RFC 3339, UTC). A status older than the pod's running
    container was written by a process that is gone.
    """

    observed_generation: int = 0
    started_at: str = ""
    session: Session = Session.STARTING
    reason: str = ""
    message: str = ""
    account: int | None = None
    market_data_live: bool | None = None
    kafka: KafkaStatus | None = None
    key: str = ""  # public key (see calls.py) of this process
    reference: str = ""  # why it writes no records to the topic contracts; ticks go on
    contract_count: int = 0
    standby_count: int = 0  # contracts that it has ready, in case that their own worker is lost
    lines: str = ""  # "6/100", for the printer column
    last_tick_time: str | None = None
    contracts: tuple[Report, ...] = ()


# msgspec learns a type at its first use, and the process dies if two threads do so at the same moment. So it learns
# them here: in a worker, one thread watches the shard and another reads its status.
_LEARNT = (msgspec.json.Decoder(ShardSpec), msgspec.json.Decoder(ShardStatus))
