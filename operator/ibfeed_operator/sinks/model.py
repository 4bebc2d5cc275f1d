"""IbSink, its Deployment, its pods and its feed as frozen values, read from the API server's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ibfeed_api.feed import ConfigMapKey, Kafka
from ibfeed_api.labels import LABEL_SINK
from ibfeed_api.log import Log
from ibfeed_api.sink import SINK_CONTAINER, PodReport, SinkSpec
from ibfeed_operator.model.decode import InvalidFeed, Named, read_feed
from ibfeed_operator.model.feed_status import ConditionStatus

_log: Final = Log(__name__)


class _ReadStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class SinkStatus(_ReadStruct, frozen=True, kw_only=True):
    """The status of an IbSink. ``pods`` is written by the pods, all else by the operator. None: not known."""

    observed_generation: int = 0
    conditions: tuple[ConditionStatus, ...] = ()
    destination: str = ""
    consumer_group: str = ""
    replicas: int = 0
    selector: str = ""
    lag: int | None = None
    rows: int = 0
    last_event_time: str | None = None
    last_write_time: str | None = None
    latency_p99_ms: int | None = None
    last_error: str = ""
    unreadable: int = 0
    pods: dict[str, PodReport] = {}

    def condition(self, kind: str) -> ConditionStatus | None:
        return next((condition for condition in self.conditions if condition.type == kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """An IbSink. ``spec`` is None if this operator cannot read it; then ``invalid`` says why."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    spec: SinkSpec | None
    invalid: str = ""
    deleting: bool = False
    status: SinkStatus = field(default_factory=SinkStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkFeed:
    """The parts of an IbFeed that its sinks need."""

    kafka: Kafka
    extra_ca: ConfigMapKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A sink's Deployment. ``refused``: why its controller cannot create pods; empty: it can."""

    sink: str
    uid: str
    generation: int
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkPodState:
    """One pod of a sink. ``waiting``: why its container does not run; empty: it runs, or was not tried yet."""

    name: str
    sink: str
    deleting: bool
    running: bool
    waiting: str = ""


def read_sink(raw: bytes | msgspec.Raw) -> Sink:
    """Read an IbSink. A status that cannot be read counts as empty."""
    item = msgspec.json.decode(raw, type=Named)
    meta = item.metadata
    try:
        status = msgspec.json.decode(item.status, type=SinkStatus | None) or SinkStatus()
    except msgspec.ValidationError as error:
        _log.warning("the sink's status is made again", namespace=meta.namespace, sink=meta.name, error=str(error))
        status = SinkStatus()
    spec, invalid = None, ""
    try:
        spec = msgspec.json.decode(item.spec, type=SinkSpec)
    except msgspec.ValidationError as error:
        invalid = str(error)
    return Sink(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        generation=meta.generation,
        resource_version=meta.resource_version,
        spec=spec,
        invalid=invalid,
        deleting=meta.deletion_timestamp is not None,
        status=status,
    )


def read_sink_feed(raw: bytes) -> SinkFeed | InvalidFeed:
    """Read what a sink needs of its feed."""
    feed = read_feed(raw)
    if isinstance(feed, InvalidFeed):
        return feed
    return SinkFeed(kafka=feed.spec.kafka, extra_ca=feed.spec.extra_ca)


class _WorkloadCondition(_ReadStruct, frozen=True, kw_only=True):
    type: str = ""
    status: str = ""
    message: str = ""


class _DeploymentStatus(_ReadStruct, frozen=True, kw_only=True):
    conditions: list[_WorkloadCondition] | None = None


def read_workload(raw: bytes | msgspec.Raw) -> Workload:
    item = msgspec.json.decode(raw, type=Named)
    status = msgspec.json.decode(item.status, type=_DeploymentStatus | None) or _DeploymentStatus()
    refusals = (c.message for c in status.conditions or () if c.type == "ReplicaFailure" and c.status == "True")
    return Workload(
        sink=item.metadata.labels.get(LABEL_SINK, ""),
        uid=item.metadata.uid,
        generation=item.metadata.generation,
        refused=next(refusals, ""),
    )


class _Cause(_ReadStruct, frozen=True, kw_only=True):
    reason: str = ""
    message: str = ""


class _SinkContainerState(_ReadStruct, frozen=True, kw_only=True):
    running: Mapping[str, str] | None = None
    waiting: _Cause | None = None


class _SinkContainer(_ReadStruct, frozen=True, kw_only=True):
    name: str = ""
    state: _SinkContainerState = _SinkContainerState()


class _SinkPodCondition(_Cause, frozen=True, kw_only=True):
    type: str = ""
    status: str = ""


class _SinkPodStatus(_ReadStruct, frozen=True, kw_only=True):
    container_statuses: list[_SinkContainer] | None = None
    conditions: list[_SinkPodCondition] | None = None


_UNTRIED: Final = ("", "ContainerCreating", "PodInitializing")


def read_sink_pod(raw: bytes | msgspec.Raw) -> SinkPodState:
    item = msgspec.json.decode(raw, type=Named)
    status = msgspec.json.decode(item.status, type=_SinkPodStatus | None) or _SinkPodStatus()
    container = next((c for c in status.container_statuses or () if c.name == SINK_CONTAINER), _SinkContainer())
    unscheduled = next((c for c in status.conditions or () if c.type == "PodScheduled" and c.status == "False"), None)
    cause = container.state.waiting or unscheduled or _Cause()
    return SinkPodState(
        name=item.metadata.name,
        sink=item.metadata.labels.get(LABEL_SINK, ""),
        deleting=item.metadata.deletion_timestamp is not None,
        running=container.state.running is not None,
        waiting="" if cause.reason in _UNTRIED else f"{cause.reason}: {cause.message}".rstrip(": "),
    )
