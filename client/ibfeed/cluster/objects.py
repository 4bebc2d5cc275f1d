"""The cluster's objects as typed values, as far as the command line shows them. No I/O.

The CRDs in ``crds/`` are the authority. A field that is missing has the CRD's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ibfeed.cluster.labels import DRAIN
from ibfeed.errors import ObjectError


class _Kube(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class Metadata(_Kube, frozen=True, kw_only=True):
    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""
    resource_version: str = ""


class Condition(_Kube, frozen=True, kw_only=True):
    """One condition, of the form ``metav1.Condition``."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""


class WorkerSummary(_Kube, frozen=True, kw_only=True):
    """An item of ``IbFeed.status.shards``."""

    worker: str
    session: str = ""
    account: int | None = None
    contracts: int = 0
    publishing: int = 0
    standbys: int = 0
    image: str = ""
    reason: str = ""
    message: str = ""


class FeedContract(_Kube, frozen=True, kw_only=True):
    """An item of ``IbFeed.status.contracts``."""

    conid: int
    symbol: str
    root: str = ""
    exchange: str = ""
    contract_month: str = ""
    last_trading_day: str = ""
    slot: int = 0
    epoch: int = 0
    worker: str | None = None
    standby: str | None = None
    publishing: bool = False
    depth: bool = False


class UnassignedContract(_Kube, frozen=True, kw_only=True):
    """An item of ``IbFeed.status.unassigned``."""

    conid: int
    symbol: str
    reason: str = ""
    message: str = ""


class RootSpec(_Kube, frozen=True, kw_only=True):
    symbol: str
    front_months: int | None = None


class TopicSpec(_Kube, frozen=True, kw_only=True):
    name: str = "ticklast"
    partitions: int = 12


class TopicsSpec(_Kube, frozen=True, kw_only=True):
    ticklast: TopicSpec = TopicSpec()


class KafkaSpec(_Kube, frozen=True, kw_only=True):
    bootstrap_servers: str = ""
    topics: TopicsSpec = TopicsSpec()


class SecretName(_Kube, frozen=True, kw_only=True):
    name: str


class AccountsSpec(_Kube, frozen=True, kw_only=True):
    secret_ref: SecretName | None = None
    first: int = 1
    count: int = 1
    lines_per_account: int = 100

    @property
    def indices(self) -> range:
        return range(self.first, self.first + self.count)


class FeedSpec(_Kube, frozen=True, kw_only=True):
    roots: tuple[RootSpec, ...] = ()
    front_months: int = 6
    workers: int = 1
    standby: str = "None"
    suspend: bool = False
    accounts: AccountsSpec = AccountsSpec()
    kafka: KafkaSpec = KafkaSpec()


class FeedStatus(_Kube, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    contract_count: int = 0
    assigned_count: int = 0
    publishing_count: int = 0
    standby_count: int = 0
    workers: int = 0
    image: str = ""
    shards: tuple[WorkerSummary, ...] = ()
    contracts: tuple[FeedContract, ...] = ()
    unassigned: tuple[UnassignedContract, ...] = ()
    truncated: bool = False


class Feed(_Kube, frozen=True, kw_only=True):
    """An IbFeed."""

    metadata: Metadata
    spec: FeedSpec = FeedSpec()
    status: FeedStatus = FeedStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    def condition(self, kind: str) -> Condition:
        """Return a condition. Until the operator has looked at the feed it is Unknown."""
        nothing = Condition(type=kind, status="Unknown", message="the operator has not looked at it yet")
        return next((one for one in self.status.conditions if one.type == kind), nothing)


class ShardAccount(_Kube, frozen=True, kw_only=True):
    source: str
    index: int
    lease: str
    used_by: str = ""


class Entry(_Kube, frozen=True, kw_only=True):
    """An item of ``IbShard.spec.contracts``: the operator's order for one contract."""

    conid: int
    symbol: str
    slot: int = 0
    epoch: int = 0
    state: str = ""
    hot: bool = False


class Report(_Kube, frozen=True, kw_only=True):
    """An item of ``IbShard.status.contracts``: the worker's report of one contract."""

    conid: int
    epoch: int = 0
    state: str = ""
    last_tick_time: str | None = None
    message: str = ""


class ShardSpec(_Kube, frozen=True, kw_only=True):
    feed: str
    worker: int
    account: ShardAccount | None = None
    contracts: tuple[Entry, ...] = ()


class KafkaReport(_Kube, frozen=True, kw_only=True):
    reachable: bool | None = None
    reason: str = ""
    message: str = ""


class ShardStatus(_Kube, frozen=True, kw_only=True):
    session: str = ""
    reason: str = ""
    message: str = ""
    kafka: KafkaReport | None = None
    last_tick_time: str | None = None
    contracts: tuple[Report, ...] = ()


class Shard(_Kube, frozen=True, kw_only=True):
    """An IbShard."""

    metadata: Metadata
    spec: ShardSpec
    status: ShardStatus = ShardStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def drained(self) -> bool:
        return self.metadata.annotations.get(DRAIN) == "true"

    def report(self, entry: Entry) -> Report | None:
        """Return the worker's report of this very assignment. One of another epoch is about an earlier one."""
        found = (one for one in self.status.contracts if one.conid == entry.conid and one.epoch == entry.epoch)
        return next(found, None)


class LeaseHolder(_Kube, frozen=True, kw_only=True):
    holder_identity: str | None = None


class Lease(_Kube, frozen=True, kw_only=True):
    """The Lease of one account, or (no index) that of a source's logins."""

    metadata: Metadata
    spec: LeaseHolder = LeaseHolder()

    @property
    def index(self) -> int | None:
        last = self.metadata.name.rpartition("-")[2]
        return int(last) if last.isdigit() else None

    @property
    def holder(self) -> str:
        """The pod that holds it, or nothing."""
        return (self.spec.holder_identity or "").rsplit("_", 1)[0]


class SinkSpec(_Kube, frozen=True, kw_only=True):
    feed_ref: SecretName


class SinkStatus(_Kube, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    destination: str = ""
    lag: int | None = None
    latency_p99_ms: int | None = None


class Sink(_Kube, frozen=True, kw_only=True):
    """An IbSink."""

    metadata: Metadata
    spec: SinkSpec
    status: SinkStatus = SinkStatus()


class EventSource(_Kube, frozen=True, kw_only=True):
    kind: str = ""
    name: str = ""


class FeedNews(_Kube, frozen=True, kw_only=True):
    """A Kubernetes event about a feed."""

    involved_object: EventSource = EventSource()
    type: str = "Normal"
    reason: str = ""
    message: str = ""
    last_timestamp: str | None = None


T = TypeVar("T")


def read(kind: type[T], found: Mapping[str, Any]) -> T:
    """Return an object as a typed value.

    Raises:
        ObjectError: a field is not as the CRD says. The text names it.
    """
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        name = found.get("metadata", {}).get("name", "")
        raise ObjectError(
            f"{kind.__name__.lower()} {name} cannot be read ({error}): the cluster's ibfeed is of another version; "
            "pip install the client of that version"
        ) from None
