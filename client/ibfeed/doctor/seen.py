"""Objects of the API server, as far as the checks read them. A field that is absent has its empty value."""

from __future__ import annotations

import datetime as dt
from typing import Any, TypeVar

import msgspec

from ibfeed.errors import ClusterRefusedError


class _Seen(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class SeenMeta(_Seen, frozen=True, kw_only=True):
    """``metadata``."""

    name: str
    namespace: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: dt.datetime | None = None
    deletion_timestamp: dt.datetime | None = None


class SeenCondition(_Seen, frozen=True, kw_only=True):
    """One of ``status.conditions``."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class NamedSecret(_Seen, frozen=True, kw_only=True):
    """A reference to a Secret, and to one of its keys where that is fixed."""

    name: str
    key: str = ""


class SeenVault(_Seen, frozen=True, kw_only=True):
    """``spec.accounts.keyVault``."""

    url: str


class SeenAccounts(_Seen, frozen=True, kw_only=True):
    """``spec.accounts``."""

    key_vault: SeenVault | None = None
    secret_ref: NamedSecret | None = None
    first: int = 1
    count: int = 1
    region: str = "America"

    @property
    def indices(self) -> range:
        """The accounts' numbers."""
        return range(self.first, self.first + self.count)


class SeenTopic(_Seen, frozen=True, kw_only=True):
    """One of ``spec.kafka.topics``. The API server fills in the defaults."""

    name: str
    partitions: int = 1
    replication_factor: int = 1


class SeenTopics(_Seen, frozen=True, kw_only=True):
    """``spec.kafka.topics``."""

    ticklast: SeenTopic = SeenTopic(name="ticklast", partitions=12)
    l2_data: SeenTopic = msgspec.field(name="l2Data", default=SeenTopic(name="l2-data", partitions=12))
    feed_events: SeenTopic = SeenTopic(name="feed-events")
    contracts: SeenTopic = SeenTopic(name="contracts")

    @property
    def every(self) -> tuple[SeenTopic, ...]:
        """All four."""
        return (self.ticklast, self.l2_data, self.feed_events, self.contracts)


class SeenRegistry(_Seen, frozen=True, kw_only=True):
    """``spec.kafka.schemaRegistry``."""

    url: str
    secret_ref: NamedSecret | None = None


class SeenKafka(_Seen, frozen=True, kw_only=True):
    """``spec.kafka``."""

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = ""
    secret_ref: NamedSecret | None = None
    ca_secret_ref: NamedSecret | None = None
    topics: SeenTopics = SeenTopics()
    create_topics: bool = True
    format: str = "JSON"
    schema_registry: SeenRegistry | None = None


class SeenSpec(_Seen, frozen=True, kw_only=True):
    """``spec`` of an IbFeed."""

    accounts: SeenAccounts
    kafka: SeenKafka
    workers: int = 1
    suspend: bool = False
    gateway: dict[str, Any] = {}


class SeenFeedStatus(_Seen, frozen=True, kw_only=True):
    """``status`` of an IbFeed."""

    observed_generation: int = 0
    conditions: tuple[SeenCondition, ...] = ()


class SeenFeed(_Seen, frozen=True, kw_only=True):
    """An IbFeed."""

    metadata: SeenMeta
    spec: SeenSpec
    status: SeenFeedStatus = SeenFeedStatus()

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    def condition(self, kind: str) -> SeenCondition | None:
        """Return one of its conditions; None: there is none yet."""
        return next((one for one in self.status.conditions if one.type == kind), None)


class SeenAccount(_Seen, frozen=True, kw_only=True):
    """``spec.account`` of an IbShard."""

    index: int
    lease: str
    used_by: str = ""


class SeenShardSpec(_Seen, frozen=True, kw_only=True):
    """``spec`` of an IbShard."""

    feed: str
    worker: int
    account: SeenAccount | None = None


class SeenKafkaStatus(_Seen, frozen=True, kw_only=True):
    """A worker's own word on Kafka. ``reachable`` is None until it tried."""

    reachable: bool | None = None
    reason: str = ""
    message: str = ""


class SeenShardStatus(_Seen, frozen=True, kw_only=True):
    """``status`` of an IbShard."""

    session: str = ""
    reason: str = ""
    message: str = ""
    market_data_live: bool | None = None
    kafka: SeenKafkaStatus = SeenKafkaStatus()
    reference: str = ""


class SeenShard(_Seen, frozen=True, kw_only=True):
    """An IbShard."""

    metadata: SeenMeta
    spec: SeenShardSpec
    status: SeenShardStatus = SeenShardStatus()

    @property
    def name(self) -> str:
        """Its name, which is its pod's, too."""
        return self.metadata.name


class ContainerState(_Seen, frozen=True, kw_only=True):
    """Why a container waits, or ended."""

    reason: str = ""
    message: str = ""
    exit_code: int = 0


class ContainerStates(_Seen, frozen=True, kw_only=True):
    """``state`` of a container: one of three."""

    waiting: ContainerState | None = None
    running: dict[str, Any] | None = None
    terminated: ContainerState | None = None


class SeenContainer(_Seen, frozen=True, kw_only=True):
    """One of ``status.containerStatuses``."""

    state: ContainerStates = ContainerStates()
    last_state: ContainerStates = ContainerStates()


class SeenPodStatus(_Seen, frozen=True, kw_only=True):
    """``status`` of a pod."""

    phase: str = ""
    conditions: tuple[SeenCondition, ...] = ()
    container_statuses: tuple[SeenContainer, ...] = ()


class SeenPod(_Seen, frozen=True, kw_only=True):
    """A pod."""

    metadata: SeenMeta
    status: SeenPodStatus = SeenPodStatus()

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name


class LeaseSpec(_Seen, frozen=True, kw_only=True):
    """``spec`` of a Lease."""

    holder_identity: str | None = None
    renew_time: dt.datetime | None = None


class SeenLease(_Seen, frozen=True, kw_only=True):
    """A Lease."""

    metadata: SeenMeta
    spec: LeaseSpec = LeaseSpec()

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    @property
    def holder(self) -> str:
        """The pod that holds it; empty: none."""
        return (self.spec.holder_identity or "").rsplit("_", 1)[0]


class InvolvedObject(_Seen, frozen=True, kw_only=True):
    """The object that an event is about."""

    kind: str = ""
    name: str = ""


class SeenEvent(_Seen, frozen=True, kw_only=True):
    """An event."""

    involved_object: InvolvedObject = InvolvedObject()
    type: str = ""
    reason: str = ""
    message: str = ""
    last_timestamp: dt.datetime | None = None
    event_time: dt.datetime | None = None
    metadata: SeenMeta

    @property
    def at(self) -> dt.datetime:
        """When it was seen last."""
        found = self.last_timestamp or self.event_time or self.metadata.creation_timestamp
        return found or dt.datetime.fromtimestamp(0, dt.UTC)


class QuotaStatus(_Seen, frozen=True, kw_only=True):
    """``status`` of a ResourceQuota, in Kubernetes' quantities."""

    hard: dict[str, str] = {}
    used: dict[str, str] = {}


class SeenQuota(_Seen, frozen=True, kw_only=True):
    """A ResourceQuota."""

    metadata: SeenMeta
    status: QuotaStatus = QuotaStatus()


class DeploymentSpec(_Seen, frozen=True, kw_only=True):
    """``spec`` of a Deployment. ``template`` is as it is."""

    replicas: int = 1
    template: dict[str, Any] = {}


class DeploymentStatus(_Seen, frozen=True, kw_only=True):
    """``status`` of a Deployment."""

    available_replicas: int = 0
    conditions: tuple[SeenCondition, ...] = ()


class SeenDeployment(_Seen, frozen=True, kw_only=True):
    """A Deployment."""

    metadata: SeenMeta
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class SinkSpecSeen(_Seen, frozen=True, kw_only=True):
    """``spec`` of an IbSink."""

    feed_ref: NamedSecret
    suspend: bool = False


class SinkStatusSeen(_Seen, frozen=True, kw_only=True):
    """``status`` of an IbSink."""

    conditions: tuple[SeenCondition, ...] = ()
    last_error: str = ""


class SeenSink(_Seen, frozen=True, kw_only=True):
    """An IbSink."""

    metadata: SeenMeta
    spec: SinkSpecSeen
    status: SinkStatusSeen = SinkStatusSeen()


Wanted = TypeVar("Wanted")


def see(raw: Any, kind: type[Wanted]) -> Wanted:
    """Return an object as one of these types. Raises ClusterRefusedError if it is not as Kubernetes writes it."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise ClusterRefusedError(f"the API server's answer is not as expected: {error}") from None


def see_all(raw: list[Any], kind: type[Wanted]) -> tuple[Wanted, ...]:
    """Return objects as one of these types."""
    return tuple(see(one, kind) for one in raw)
