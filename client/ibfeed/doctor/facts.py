"""The facts that checks are given: an installation and a feed, each known or not. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from ibfeed.doctor.seen import (
    SeenDeployment,
    SeenEvent,
    SeenFeed,
    SeenLease,
    SeenPod,
    SeenQuota,
    SeenShard,
    SeenSink,
)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be had, and why. An unknown fact is never taken for a good one."""

    why: str


Fact: TypeAlias = Value | Unknown
NOT_ASKED = Unknown("nothing asked for it")


def known(fact: Fact[Value], otherwise: Value) -> Value:
    """Return a fact's value, or what a check goes on with where it is not known."""
    return otherwise if isinstance(fact, Unknown) else fact


@dataclass(frozen=True, slots=True)
class ApiServer:
    """The API server.

    Args:
        version: such as ``v1.34.4``.
        ahead_s: how many seconds its clock is ahead of this machine's.
    """

    version: str
    ahead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Definition:
    """A CRD as the API server has it: its served versions, and the paths of its fields."""

    versions: tuple[str, ...]
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class Right:
    """One right of somebody. An empty ``name``: of all objects of the resource."""

    verb: str
    group: str
    resource: str
    name: str = ""
    namespace: str = ""
    allowed: bool = False

    @property
    def text(self) -> str:
        """The right for a person: ``patch ibshards.ibfeed.dev/status energy-0``."""
        resource, _, sub = self.resource.partition("/")
        full = f"{resource}.{self.group}" if self.group else resource
        return " ".join(filter(None, (self.verb, f"{full}/{sub}" if sub else full, self.name)))


@dataclass(frozen=True, slots=True)
class WatchedLease:
    """A Lease that was looked at twice, five seconds apart. ``None`` of ``before``: it was not there.

    Args:
        server_now: the API server's time at the second look.
    """

    lease: SeenLease
    before: SeenLease | None
    server_now: dt.datetime

    @property
    def renewed(self) -> bool:
        """Whether its holder renewed it between the looks."""
        return self.before is not None and self.before.spec != self.lease.spec

    @property
    def age_s(self) -> float | None:
        """How old its renewal is by the API server's clock; negative if the holder's clock is ahead."""
        renewed = self.lease.spec.renew_time
        return None if renewed is None else (self.server_now - renewed).total_seconds()


@dataclass(frozen=True, slots=True)
class InstallationFacts:
    """Facts that do not depend on a feed.

    Args:
        now: this machine's time, in UTC.
        definitions: by the kind in the plural; None: the CRD is not there.
        my_rights: of the person who asks.
        operator_rights: of the operator's ServiceAccount.
        operator_account: ``namespace:name`` of that.
        deployment: None: there is none.
        leader: the operators' Lease; None: there is none.
        feed_names: of the feeds that are looked at.
    """

    now: dt.datetime
    server: Fact[ApiServer] = NOT_ASKED
    definitions: Fact[Mapping[str, Definition | None]] = NOT_ASKED
    my_rights: Fact[tuple[Right, ...]] = NOT_ASKED
    operator_rights: Fact[tuple[Right, ...]] = NOT_ASKED
    operator_account: str = "ibfeed-system:ibfeed-operator"
    operator_namespace: str = "ibfeed-system"
    deployment: Fact[SeenDeployment | None] = NOT_ASKED
    operator_pods: Fact[tuple[SeenPod, ...]] = NOT_ASKED
    leader: Fact[WatchedLease | None] = NOT_ASKED
    feed_names: Fact[tuple[str, ...]] = NOT_ASKED


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """A broker as it advertises itself. ``trouble``: why it cannot be reached there from here; empty: it can."""

    address: str
    resolves: bool = True
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic.

    Args:
        replicas: of the partition that has fewest.
        in_sync: of the partition that has fewest in sync.
        min_in_sync: ``min.insync.replicas``; None: not told.
        compacted: None: not told.
    """

    partitions: int
    replicas: int
    in_sync: int
    min_in_sync: int | None = None
    compacted: bool | None = None


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """The times of a recent tick in ms since 1970. ``appended_ms``: by the broker's clock; None: not kept."""

    event_ms: int
    received_ms: int
    appended_ms: int | None


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """Kafka as this machine sees it.

    Args:
        trouble: why no broker answers from here; empty: one does.
        refused: Kafka answers, and refuses; empty: it does not.
        topics: None: the topic is not there.
        records: the newest ticks of some partitions.
    """

    trouble: str = ""
    refused: str = ""
    brokers: tuple[BrokerFacts, ...] = ()
    topics: Mapping[str, TopicFacts | None] | None = None
    records: tuple[RecordFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryFacts:
    """The schema registry as this machine sees it. Empty texts: it answers, and lets the feed in."""

    trouble: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class FeedFacts:
    """Facts about one feed.

    Args:
        accounts: the Leases of its accounts, and that of its logins.
        secrets: the keys of each Secret that the feed names; None: the Secret is not there.
        registry: None: the feed writes JSON.
    """

    now: dt.datetime
    feed: SeenFeed
    shards: Fact[tuple[SeenShard, ...]] = NOT_ASKED
    pods: Fact[tuple[SeenPod, ...]] = NOT_ASKED
    events: Fact[tuple[SeenEvent, ...]] = NOT_ASKED
    quotas: Fact[tuple[SeenQuota, ...]] = NOT_ASKED
    accounts: Fact[tuple[WatchedLease, ...]] = NOT_ASKED
    secrets: Fact[Mapping[str, frozenset[str] | None]] = NOT_ASKED
    worker_rights: Fact[tuple[Right, ...]] = NOT_ASKED
    kafka: Fact[KafkaFacts] = NOT_ASKED
    registry: Fact[RegistryFacts | None] = NOT_ASKED
    sinks: Fact[tuple[SeenSink, ...]] = NOT_ASKED

    @property
    def name(self) -> str:
        """The feed's name."""
        return self.feed.metadata.name

    @property
    def namespace(self) -> str:
        """The feed's namespace."""
        return self.feed.metadata.namespace

    @property
    def on(self) -> str:
        """The beginning of a command for the feed's namespace."""
        return f"kubectl -n {self.namespace}"

    @property
    def publishes(self) -> bool:
        """Whether some worker says that Kafka acknowledges its records."""
        return any(shard.status.kafka.reachable for shard in known(self.shards, ()))
