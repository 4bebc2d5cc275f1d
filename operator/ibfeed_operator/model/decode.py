"""Reads the API server's JSON into the frozen values of ``types.py``. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ibfeed_api.failsafe import parse_members
from ibfeed_api.feed import FeedSpec
from ibfeed_api.labels import (
    ANNOTATION_DRAIN,
    ANNOTATION_FAILED_LOGINS,
    ANNOTATION_FENCED,
    ANNOTATION_HISTORY,
    ANNOTATION_LAST_FAILURE,
    ANNOTATION_MEMBERS,
    ANNOTATION_NEXT_LOGIN,
    ANNOTATION_PAGE_TROUBLE,
    ANNOTATION_PARKED,
    ANNOTATION_PIN,
    ANNOTATION_USER,
    ANNOTATION_USER_SINCE,
    LABEL_FEED,
    LABEL_SOURCE,
)
from ibfeed_api.log import Log
from ibfeed_api.logins import parse_history, parse_troubles
from ibfeed_api.shard import ShardSpec, ShardStatus
from ibfeed_api.worker_pod import WORKER_CONTAINER
from ibfeed_operator.model.feed_status import FeedStatus
from ibfeed_operator.model.types import AccountLease, Feed, Owner, Pod, Shard

_log: Final = Log(__name__)

_REVISION: Final = "controller-revision-hash"
_FIRST_STATUS: Final = timedelta(seconds=2)
# Reasons of a container that waits for the init containers. It may be one of those that cannot start.
_WAITS_FOR_ANOTHER: Final = ("", "PodInitializing")


class _DecodedStruct(msgspec.Struct, frozen=True, rename="camel"):
    pass


class _Meta(_DecodedStruct, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[Owner, ...] = ()


class Named(_DecodedStruct, frozen=True):
    """Any object: its metadata as values, the rest as raw JSON."""

    metadata: _Meta
    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: msgspec.Raw = msgspec.Raw(b"null")


class _Running(_DecodedStruct, frozen=True):
    started_at: datetime | None = None


class _Waiting(_DecodedStruct, frozen=True):
    reason: str = ""
    message: str = ""


class _Terminated(_DecodedStruct, frozen=True):
    reason: str = ""
    exit_code: int = 0


class _ContainerState(_DecodedStruct, frozen=True):
    running: _Running | None = None
    waiting: _Waiting | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(_DecodedStruct, frozen=True):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    image: str = ""
    state: _ContainerState = _ContainerState()
    last_state: _ContainerState = _ContainerState()


class _PodCondition(_DecodedStruct, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class _PodStatus(_DecodedStruct, frozen=True):
    phase: str = ""
    start_time: datetime | None = None
    pod_ip: str = msgspec.field(name="podIP", default="")
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None  # those that a webhook adds; we have none
    conditions: list[_PodCondition] | None = None


class _Container(_DecodedStruct, frozen=True):
    name: str = ""
    image: str = ""


class _PodSpec(_DecodedStruct, frozen=True):
    node_name: str = ""
    containers: list[_Container] = []


class _Pod(_DecodedStruct, frozen=True):
    metadata: _Meta
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()


class _LeaseSpec(_DecodedStruct, frozen=True):
    holder_identity: str | None = None


class _Lease(_DecodedStruct, frozen=True):
    metadata: _Meta
    spec: _LeaseSpec = _LeaseSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidFeed:
    """An IbFeed whose spec this operator cannot read: written before the CRD's rules, or for a newer version."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    message: str
    status: FeedStatus


def read_feed(raw: bytes | msgspec.Raw) -> Feed | InvalidFeed:
    """Read an IbFeed. A status that cannot be read counts as empty."""
    item = msgspec.json.decode(raw, type=Named)
    meta = item.metadata
    try:
        status = msgspec.json.decode(item.status, type=FeedStatus | None) or FeedStatus()
    except msgspec.ValidationError as error:
        _log.warning(
            "the feed's status cannot be read, and is made again",
            namespace=meta.namespace,
            feed=meta.name,
            error=str(error),
        )
        status = FeedStatus()
    try:
        spec = msgspec.json.decode(item.spec, type=FeedSpec)
    except msgspec.ValidationError as error:
        return InvalidFeed(
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            generation=meta.generation,
            resource_version=meta.resource_version,
            message=str(error),
            status=status,
        )
    return Feed(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        generation=meta.generation,
        spec=spec,
        resource_version=meta.resource_version,
        deleting=meta.deletion_timestamp is not None,
        pin=meta.annotations.get(ANNOTATION_PIN, ""),
        status=status,
    )


def read_shard(raw: bytes | msgspec.Raw) -> Shard | None:
    """Read an IbShard. None if its spec cannot be read, since a shard of one feed may not stop the other feeds."""
    item = msgspec.json.decode(raw, type=Named)
    meta = item.metadata
    try:
        spec = msgspec.json.decode(item.spec, type=ShardSpec)
    except msgspec.ValidationError as error:
        _log.warning("the shard's spec cannot be read", namespace=meta.namespace, worker=meta.name, error=str(error))
        return None
    try:
        status = msgspec.json.decode(item.status, type=ShardStatus | None)
    except msgspec.ValidationError as error:
        # A worker of another version may not stop the whole feed. It counts as one that has not reported.
        _log.warning("the shard's status cannot be read", namespace=meta.namespace, worker=meta.name, error=str(error))
        status = None
    return Shard(
        name=meta.name,
        worker=spec.worker,
        uid=meta.uid,
        resource_version=meta.resource_version,
        spec=spec,
        status=status,
        deleting=meta.deletion_timestamp is not None,
        drain=meta.annotations.get(ANNOTATION_DRAIN, ""),
        owners=meta.owner_references,
    )


def read_pod(raw: bytes | msgspec.Raw) -> Pod | None:
    """Read a worker's pod. None for a pod that has the feed's label but is not one of its numbered workers."""
    item = msgspec.json.decode(raw, type=_Pod)
    _, _, ordinal = item.metadata.name.rpartition("-")
    if not ordinal.isdigit():
        return None
    status = item.status
    container = next((c for c in status.container_statuses or () if c.name == WORKER_CONTAINER), None)
    state = container.state if container is not None else _ContainerState()
    waiting = state.waiting or _Waiting()
    if waiting.reason in _WAITS_FOR_ANOTHER:
        others = (c.state.waiting or _Waiting() for c in status.init_container_statuses or ())
        waiting = next((other for other in others if other.reason not in _WAITS_FOR_ANOTHER), waiting)
    unscheduled = next(
        (c for c in status.conditions or () if c.type == "PodScheduled" and c.status == "False"), _PodCondition()
    )
    return Pod(
        name=item.metadata.name,
        worker=int(ordinal),
        feed=item.metadata.labels.get(LABEL_FEED, ""),
        uid=item.metadata.uid,
        deleting=item.metadata.deletion_timestamp is not None,
        container_running=state.running is not None and status.phase not in ("Failed", "Succeeded"),
        container_started_at=state.running.started_at if state.running is not None else None,
        restart_count=container.restart_count if container is not None else 0,
        ready=container.ready if container is not None else False,
        waiting_reason=waiting.reason or unscheduled.reason,
        waiting_message=waiting.message or unscheduled.message,
        died_of=_death(container),
        # From the spec, since the runtime may report another name of the same image.
        image=next((c.image for c in item.spec.containers if c.name == WORKER_CONTAINER), ""),
        ip=status.pod_ip,
        node=item.spec.node_name,
        revision=item.metadata.labels.get(_REVISION, ""),
        never_ready=_never_ready(status),
    )


def resource_version_of(raw: bytes | msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=Named).metadata.resource_version


def read_lease(raw: bytes | msgspec.Raw) -> AccountLease:
    """Read a Lease. Its age is not in it: ``LeaseObserver`` measures that."""
    item = msgspec.json.decode(raw, type=_Lease)
    meta = item.metadata
    _, _, index = meta.name.rpartition("-")
    holder = item.spec.holder_identity or ""
    return AccountLease(
        name=meta.name,
        source=meta.labels.get(LABEL_SOURCE, ""),
        index=int(index) if index.isdigit() else -1,
        holder=holder,
        members=parse_members(meta.annotations.get(ANNOTATION_MEMBERS, "")),
        fenced=bool(holder) and meta.annotations.get(ANNOTATION_FENCED) == holder,
        failed=_count(meta.annotations.get(ANNOTATION_FAILED_LOGINS)),
        last_failure=meta.annotations.get(ANNOTATION_LAST_FAILURE, ""),
        parked=meta.annotations.get(ANNOTATION_PARKED, ""),
        next_login=_date(meta.annotations.get(ANNOTATION_NEXT_LOGIN)),
        history=parse_history(meta.annotations.get(ANNOTATION_HISTORY, "")),
        user=meta.annotations.get(ANNOTATION_USER, ""),
        user_since=_date(meta.annotations.get(ANNOTATION_USER_SINCE)),
        troubles=parse_troubles(meta.annotations.get(ANNOTATION_PAGE_TROUBLE, "")),
        resource_version=meta.resource_version,
    )


def _never_ready(status: _PodStatus) -> bool:
    """Whether the pod was never ready: its condition Ready last changed at most two seconds after the kubelet took it.

    No worker streams within two seconds.
    """
    ready = next((condition for condition in status.conditions or () if condition.type == "Ready"), _PodCondition())
    if ready.status == "True":
        return False
    changed, started = ready.last_transition_time, status.start_time
    return changed is None or started is None or changed - started <= _FIRST_STATUS


def _death(container: _ContainerStatus | None) -> str:
    dead = container and (container.state.terminated or container.last_state.terminated)
    if not dead or not dead.exit_code:
        return ""
    return dead.reason if dead.reason not in ("", "Error") else f"exit code {dead.exit_code}"


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _date(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found
