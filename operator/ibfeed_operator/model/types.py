"""The values on which the operator decides. They are frozen, and read from the cluster once per cycle.

All code that decides (planner, hand-over, liveness, accounts, status) takes these values and returns values. Only the
snapshot makes them, and only the controller acts on the results. There is no clock and no I/O in here: the snapshot
measures ages with its own monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec

from ibfeed_api.failsafe import Member, may_take
from ibfeed_api.feed import FeedSpec
from ibfeed_api.ib_calendar import Closure
from ibfeed_api.instrument import Instrument
from ibfeed_api.lease import TAKEOVER_S
from ibfeed_api.logins import History, PageTrouble
from ibfeed_api.shard import ShardSpec, ShardStatus
from ibfeed_operator.model.feed_status import FeedStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """An IbFeed. ``status`` is as the operator last wrote it (empty in the first cycle, or if it cannot be read)."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: FeedSpec
    resource_version: str = ""
    deleting: bool = False
    pin: str = ""  # annotation labels.ANNOTATION_PIN, as it was written
    status: FeedStatus = field(default_factory=FeedStatus)


class Contract(Instrument, frozen=True, kw_only=True, gc=False):
    """One contract of the universe."""

    slot: int  # for the contract's life
    depth: bool = False


class RootProblemKind(StrEnum):
    """Why a root is not, or not freshly, resolved."""

    UNKNOWN = "unknown"  # IB does not know it, or lists no product of it that the spec asks for
    AMBIGUOUS = "ambiguous"  # IB lists several products of it; only contracts that are streamed already go on
    SHRANK = "shrank"  # the answer lost contracts that have not expired; the last good answer is kept
    FAILED = "failed"  # IB could not be asked, or the answer makes no sense
    UNUSABLE = "unusable"  # the month of a front contract is not known; the others are streamed
    WAITING = "waiting"  # no streaming worker to ask yet


@dataclass(frozen=True, slots=True, kw_only=True)
class RootProblem:
    """A root that is not, or not freshly, resolved, and why."""

    root: str  # ``Root.label``
    kind: RootProblemKind
    message: str = ""  # one sentence for a person; empty: the default text of ``kind``


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """All contracts that the feed should stream. ``problems`` has at most one per root.

    ``resolved`` is False until each root of the spec either has contracts or has been refused as unknown or ambiguous.
    """

    contracts: tuple[Contract, ...] = ()
    problems: tuple[RootProblem, ...] = ()
    resolved: bool = False


class Owner(msgspec.Struct, frozen=True, rename="camel"):
    """One of an object's ownerReferences."""

    uid: str
    api_version: str = ""
    kind: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """An IbShard. ``status`` is None until its worker has written one."""

    name: str
    worker: int
    uid: str
    resource_version: str
    spec: ShardSpec
    status: ShardStatus | None = None
    deleting: bool = False
    drain: str = ""  # annotation labels.ANNOTATION_DRAIN, as it was written
    owners: tuple[Owner, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A worker's pod. ``waiting_reason`` is the container's (``ImagePullBackOff`` …) or ``Unschedulable``."""

    name: str
    worker: int
    uid: str
    feed: str = ""
    deleting: bool = False
    container_running: bool = False
    container_started_at: datetime | None = None  # timezone-aware
    restart_count: int = 0
    ready: bool = False
    waiting_reason: str = ""
    waiting_message: str = ""
    died_of: str = ""  # why its container last died, such as OOMKilled
    image: str = ""
    ip: str = ""
    node: str = ""
    revision: str = ""  # revision of the StatefulSet's template that it was created from
    never_ready: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLease:
    """The Lease of one account, or (``index`` -1) the one that orders the source's logins.

    ``renew_seen_age_s``: seconds since the operator itself last saw the Lease change (its own monotonic clock, never
    the holder's timestamps); 0.0 when it is seen for the first time.
    """

    name: str
    source: str
    index: int
    holder: str = ""  # "<pod name>_<pod uid>"; empty: none
    renew_seen_age_s: float = 0.0
    members: tuple[Member, ...] = ()  # that the holder asks when it can't renew (failsafe.py)
    fenced: bool = False  # members said that the holder has fenced itself
    failed: int = 0
    last_failure: str = ""
    parked: str = ""  # the reason, empty: not parked
    next_login: datetime | None = None
    history: History = field(default_factory=History)
    user: str = ""  # digest of the user name; empty: no worker has written it yet
    user_since: datetime | None = None
    troubles: tuple[PageTrouble, ...] = ()  # only in the Lease of the source's logins
    resource_version: str = ""

    @property
    def expired(self) -> bool:
        """Whether the holder, if there is one, has fenced itself for certain: another worker may have the account."""
        members = [member.name for member in self.members] if self.holder else ()
        return self.fenced or may_take(members, (), self.renew_seen_age_s)

    @property
    def doubtful(self) -> bool:
        """Whether the holder has not renewed in time, and may go on all the same: members are to be asked."""
        return bool(self.holder) and self.renew_seen_age_s >= TAKEOVER_S and not self.expired


class Health(StrEnum):
    """The operator's view of a worker. docs/architecture/liveness.md has the rules."""

    ABSENT = "absent"  # no pod (yet): scaled down, suspended or not created
    STARTING = "starting"  # on its way to its first session
    STREAMING = "streaming"
    LEAVING = "leaving"  # told to stop; streams while its contracts are handed over
    RETURNING = "returning"  # was streaming and repairs its session; its contracts stay with it for now
    LOST = "lost"  # cannot be publishing any more; its contracts are free


class KafkaAccess(StrEnum):
    """Whether a worker that has a session can publish what it is given."""

    PROVEN = "proven"
    UNPROVEN = "unproven"  # it has not shown that it can, or no worker can: it gets no contracts, and keeps its own
    CUT_OFF = "cut off"  # it cannot, and others can: its contracts go to them


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHealth:
    """The state of one worker, and its limits while it streams."""

    state: Health
    reason: str = ""  # one sentence for a person, when not streaming
    kafka: KafkaAccess = KafkaAccess.PROVEN
    probation: str = ""  # past event for which it gets no contracts yet although it streams; completes "was …"
    renewing: bool = False  # its scheduled login is under way, or its own contracts are on their way back after it

    @property
    def streaming(self) -> bool:
        return self.state is Health.STREAMING

    @property
    def proven(self) -> bool:
        """Whether Kafka acknowledges its records, or it has no session anyway."""
        return self.kafka is KafkaAccess.PROVEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker with all its objects. ``lease`` is that of the account that its shard names.

    ``obstacle``: why its pod is not created or does not start, if only events say so.
    """

    index: int
    health: WorkerHealth
    shard: Shard | None = None
    pod: Pod | None = None
    lease: AccountLease | None = None
    obstacle: str = ""
    rival: str = ""  # namespace and name of another worker whose account has the same user


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The wishes that people express by annotations: ``pins`` (conid to worker) and ``drained`` workers.

    ``invalid``: a sentence for each wish that makes no sense. Such a wish has no effect.
    """

    pins: Mapping[int, int] = field(default_factory=dict)
    drained: frozenset[int] = frozenset()
    invalid: tuple[str, ...] = ()


class PinProblem(StrEnum):
    """Why a pinned contract is, for now, placed like any other."""

    DRAINED = "drained"
    NOT_STREAMING = "not streaming"
    SETTLING = "settling"  # the worker was lost too often lately
    CANNOT_PUBLISH = "cannot publish"  # as far as is known
    NO_ROOM = "no room"  # the worker's lines do not suffice for all its pins
    REFUSED = "refused"  # IB refuses the contract to the worker's account


class UnassignedReason(StrEnum):
    """Why a contract has no worker. Spelt as in ``IbFeed.status.unassigned[].reason``."""

    CAPACITY = "Capacity"  # all workers' lines are used up
    NO_ACCOUNT = "TooFewAccounts"  # a worker that could have it has no account
    WORKER_MISSING = "WorkerMissing"  # a worker that could have it does not stream
    DRAINED = "Drained"  # only a drained worker has a line left
    KAFKA = "KafkaNotProven"  # the only workers with a line left have not shown that they can publish
    DEPTH_CAPACITY = "DepthCapacity"  # ticks are streamed, but no worker has a free order book
    NO_WORKERS = "NoWorkers"  # no worker is streaming
    MOVING = "Moving"  # its old worker has not let go yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Unassigned:
    """A contract without a worker, and why."""

    conid: int
    symbol: str
    reason: UnassignedReason


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusInput:
    """A feed after one cycle of decisions, from which its status is made.

    ``workers`` holds each index of the spec and each that still has a shard, ascending. Their shards have the specs as
    just written. ``leases`` are all Leases of the feed's account source in its namespace.
    """

    feed: Feed
    universe: Universe
    image: str = ""  # the image that the workers should run
    workers: tuple[Worker, ...] = ()
    leases: tuple[AccountLease, ...] = ()
    elsewhere: Mapping[int, str] = field(default_factory=dict)  # account -> why another namespace keeps it from us
    unassigned: tuple[Unassigned, ...] = ()
    placement: Placement = field(default_factory=Placement)
    unmet: Mapping[int, PinProblem] = field(default_factory=dict)  # conid -> why it is not where it is pinned to
    stranded: frozenset[int] = frozenset()  # conids that stay at a drained worker, since no other worker has a line
    handing_s: Mapping[int, float] = field(default_factory=dict)  # conid -> seconds that it is seen in a hand-over
    without_standby: tuple[int, ...] = ()  # conids that shall have a hot standby, and for which no line is left
    balanced: bool = False  # loads are as even as can be over all workers, and no contract is on the move
    on_hold: bool = False  # most workers lost their sessions or feeds together, by IB's fault: nothing is moved
    closure: Closure | None = None  # IB's own reset or maintenance that goes on
    trouble: str = ""  # why reconciling itself fails (API errors), when it has lasted
