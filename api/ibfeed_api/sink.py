"""IbSink as typed values. ``crds/ibsinks.yaml`` is the authority on bounds and defaults, and a test compares them.

The operator hands a sink's process its ``SinkSettings`` in a variable, and its Secrets as files in the folders below.
The process tells how far it has come as a ``PodReport`` in the status of its IbSink.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from ibfeed_api.feed import CaSecret, ConfigMapKey, Kafka
from ibfeed_api.worker_pod import LogLevel, ObjectName, Passed, PullPolicy, Resources

SINK_CONTAINER: Final = "sink"
SINK_PORT: Final = 8080
SETTINGS_VARIABLE: Final = "IBFEED_SINK"

# Folders of the sink's container, each with the keys of one Secret or ConfigMap as files.
KAFKA_FOLDER: Final = "/etc/ibfeed/kafka"
KAFKA_CA_FOLDER: Final = "/etc/ibfeed/kafka-ca"
REGISTRY_FOLDER: Final = "/etc/ibfeed/schema-registry"
DESTINATION_FOLDER: Final = "/etc/ibfeed/destination"
DESTINATION_CA_FOLDER: Final = "/etc/ibfeed/destination-ca"
EXTRA_CA_FOLDER: Final = "/etc/ibfeed/extra-ca"

OBJECTIVE_MS: Final = 6000  # from IB's time of a record to the destination's confirmation
MAX_ERROR: Final = 1024  # characters of a report's error


class SinkState(StrEnum):
    """``IbSink.status.pods.*.state``: what a process can do now."""

    STARTING = "Starting"  # nothing has been tried yet
    WRITING = "Writing"  # the destination takes the records that come
    RETRYING = "Retrying"  # Kafka or the destination fails, and is tried again
    REFUSED = "Refused"  # only a person can help, such as after a wrong password; it is tried again all the same


class SinkCondition(StrEnum):
    """Condition types in ``IbSink.status.conditions``. All of them are there from the first cycle on."""

    READY = "Ready"
    FEED_FOUND = "FeedFound"
    AVAILABLE = "Available"
    WRITING = "Writing"
    CAUGHT_UP = "CaughtUp"
    ON_TIME = "OnTime"
    READABLE = "Readable"
    SUSPENDED = "Suspended"


class SinkReason(StrEnum):
    """Reasons of an IbSink's conditions, and of its events. People and scripts match on them."""

    WRITING = "Writing"
    FEED_FOUND = "FeedFound"
    FEED_NOT_FOUND = "FeedNotFound"
    FEED_UNREADABLE = "FeedUnreadable"
    AVAILABLE = "PodsAvailable"
    PROGRESSING = "Progressing"
    POD_NOT_RUNNING = "PodNotRunning"
    POD_REFUSED = "PodRefused"
    NO_REPORT = "NoReport"  # a process runs, and has not told anything yet
    REPORT_STALE = "ReportStale"  # a process has told nothing for a while
    RETRYING = "DestinationFailing"
    REFUSED = "DestinationRefused"
    CAUGHT_UP = "CaughtUp"
    LAG_UNKNOWN = "LagUnknown"
    LAG_GROWS = "LagGrows"
    LAG_STANDS = "LagStands"  # records wait, and none has been written for a while
    ON_TIME = "WithinObjective"
    LATE = "AboveObjective"
    NOT_MEASURED = "NotMeasured"
    ALL_READABLE = "AllReadable"
    LEFT_OUT = "RecordsLeftOut"  # they cannot be decoded
    SUSPENDED = "Suspended"
    NOT_SUSPENDED = "NotSuspended"
    INVALID_SPEC = "InvalidSpec"
    RECONCILE_FAILED = "ReconcileFailed"


class _SinkStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class SecretKey(_SinkStruct, frozen=True, kw_only=True):
    """A key of a Secret in the sink's namespace."""

    name: str
    key: str = "password"


class ClickHouseDestination(_SinkStruct, frozen=True, kw_only=True):
    """``spec.clickhouse``: tables of ClickHouse, which reads the topics itself."""

    url: str
    database: str = "ibfeed"
    user: str = "default"
    password_secret_ref: SecretKey | None = None
    ttl_days: int = 7
    named_collection: str | None = None  # of ClickHouse, with Kafka's security settings


class RedisDestination(_SinkStruct, frozen=True, kw_only=True):
    """``spec.redis``: the latest values of each symbol."""

    url: str
    user: str | None = None
    password_secret_ref: SecretKey | None = None
    prefix: str = "ibfeed"
    expiry_seconds: int = 300
    ca_secret_ref: CaSecret | None = None


class ComputationDestination(_SinkStruct, frozen=True, kw_only=True):
    """``spec.computation``: results of one team's computation, in Redis. Without ``sql`` a shipped one is meant."""

    team: str
    name: str
    redis: RedisDestination
    sql: str | None = None
    window_seconds: int = 900


class SinkPod(_SinkStruct, frozen=True, kw_only=True):
    """``spec.pod``: the settings of an installation for the sink's pods. A change restarts them."""

    image: str | None = None  # None: the operator's IBFEED_SINK_IMAGE
    image_pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    image_pull_secrets: tuple[ObjectName, ...] = ()
    resources: Resources = msgspec.field(default_factory=Resources)
    node_selector: dict[str, str] = {}
    tolerations: tuple[Passed, ...] = ()
    priority_class_name: str | None = None
    log_level: LogLevel = LogLevel.INFO


class SinkSpec(_SinkStruct, frozen=True, kw_only=True):
    """``IbSink.spec``. Exactly one of the three destinations is set."""

    feed_ref: ObjectName
    replicas: int = 1
    suspend: bool = False
    clickhouse: ClickHouseDestination | None = None
    redis: RedisDestination | None = None
    computation: ComputationDestination | None = None
    pod: SinkPod = msgspec.field(default_factory=SinkPod)

    @property
    def destination(self) -> str:
        """The field that is set: ``clickhouse``, ``redis`` or ``computation``."""
        return "clickhouse" if self.clickhouse else "redis" if self.redis else "computation"

    @property
    def password_secret(self) -> SecretKey | None:
        """Where the destination's password is; None: it needs none."""
        if self.clickhouse is not None:
            return self.clickhouse.password_secret_ref
        redis = self._redis
        return redis.password_secret_ref if redis is not None else None

    @property
    def ca_secret(self) -> CaSecret | None:
        """The CA that signed the destination's certificate; None: a public one."""
        redis = self._redis
        return redis.ca_secret_ref if redis is not None else None

    @property
    def _redis(self) -> RedisDestination | None:
        return self.computation.redis if self.computation is not None else self.redis


class SinkSettings(_SinkStruct, frozen=True, kw_only=True):
    """All that a sink's process needs to know. It holds no secret.

    Args:
        sink: name of the IbSink, in the pod's namespace.
        group: Kafka's consumer group, which all pods of the sink share.
        kafka: ``spec.kafka`` of the feed.
        extra_ca: ``spec.extraCA`` of the feed, for the endpoint that gives tokens for Kafka.
    """

    sink: str
    group: str
    spec: SinkSpec
    kafka: Kafka
    extra_ca: ConfigMapKey | None = msgspec.field(name="extraCA", default=None)


class PodReport(_SinkStruct, frozen=True, kw_only=True, omit_defaults=False):
    """One process' entry in ``IbSink.status.pods``. All times are of its own clock, RFC 3339 in UTC.

    Args:
        reported_at: changes with each report, so that an observer sees that the process lives.
        started_at: start of the process.
        rows: records that the destination has confirmed since then.
        lag: records on the process' partitions that are not confirmed; None: not known.
        last_event_time: IB's time of the newest record in the destination; None: no record yet.
        last_write_time: when the destination last confirmed something; None: never.
        latency_p99_ms: from IB's time to the confirmation, of the last half minute's records; None: no record.
        error: what fails; empty: nothing.
        unreadable: records that cannot be decoded, and were left out.
        unreadable_cause: of the last one of them.
    """

    reported_at: str
    started_at: str
    state: SinkState = SinkState.STARTING
    rows: int = 0
    lag: int | None = None
    last_event_time: str | None = None
    last_write_time: str | None = None
    latency_p99_ms: int | None = None
    error: str = ""
    unreadable: int = 0
    unreadable_cause: str = ""


def sink_group(namespace: str, sink: str) -> str:
    """Return the consumer group of a sink. One that is made again under its name goes on where the former ended."""
    return f"ibfeed-sink-{namespace}-{sink}"
