"""Reading a feed's world from the cluster into the frozen values of ``facts.py``."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from ibfeed_api import names
from ibfeed_api.feed import FeedSpec
from ibfeed_api.shard import ShardSpec, ShardStatus
from ibfeed_operator.cluster import Cluster, NotFound, collection
from ibfeed_operator.facts import AccountLease, Feed, Pod, Shard
from ibfeed_operator.feed_status import FeedStatus
from ibfeed_operator.liveness import LeaseObserver
from ibfeed_operator.status import manifest

logger = logging.getLogger(__name__)

LEASE_API: Final = "coordination.k8s.io/v1"


class _Base(msgspec.Struct, frozen=True, rename="camel"):
    pass


class _Meta(_Base, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Raw(_Base, frozen=True):
    metadata: _Meta
    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: msgspec.Raw = msgspec.Raw(b"null")


class _Running(_Base, frozen=True):
    started_at: datetime | None = None


class _Waiting(_Base, frozen=True):
    reason: str = ""
    message: str = ""


class _Terminated(_Base, frozen=True):
    reason: str = ""
    exit_code: int = 0


class _ContainerState(_Base, frozen=True):
    running: _Running | None = None
    waiting: _Waiting | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(_Base, frozen=True):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    image: str = ""
    state: _ContainerState = _ContainerState()
    last_state: _ContainerState = _ContainerState()


class _PodCondition(_Base, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class _PodStatus(_Base, frozen=True):
    phase: str = ""
    pod_ip: str = msgspec.field(name="podIP", default="")
    container_statuses: list[_ContainerStatus] | None = None
    conditions: list[_PodCondition] | None = None


class _PodSpec(_Base, frozen=True):
    node_name: str = ""


class _Pod(_Base, frozen=True):
    metadata: _Meta
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()


class _LeaseSpec(_Base, frozen=True):
    holder_identity: str | None = None


class _Lease(_Base, frozen=True):
    metadata: _Meta
    spec: _LeaseSpec = _LeaseSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """An IbFeed whose spec this operator cannot read: written before the CRD's rules, or for a newer version."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    message: str
    status: FeedStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything of one feed at (almost) one moment.

    ``taken``: account indices that other feeds' shards have on this feed's source. ``leases``: all of the source.
    """

    feed: Feed
    shards: tuple[Shard, ...]
    pods: tuple[Pod, ...]
    leases: tuple[AccountLease, ...]
    taken: frozenset[int]


def feeds_path(namespace: str | None) -> str:
    return collection(names.API_VERSION, names.FEED_PLURAL, namespace)


def feed_path(namespace: str, name: str) -> str:
    return f"{feeds_path(namespace)}/{name}"


def shards_path(namespace: str) -> str:
    return collection(names.API_VERSION, names.SHARD_PLURAL, namespace)


def leases_path(namespace: str | None) -> str:
    return collection(LEASE_API, "leases", namespace)


async def observe(cluster: Cluster, leases: LeaseObserver, namespace: str, name: str) -> World | Invalid | None:
    """Read a feed and all that belongs to it; None if there is no such feed (any more)."""
    try:
        raw_feed, raw_shards, raw_pods, raw_leases = await asyncio.gather(
            cluster.get(feed_path(namespace, name)),
            cluster.list(shards_path(namespace)),
            cluster.list(collection("v1", "pods", namespace), labels=f"{names.LABEL_FEED}={name}"),
            cluster.list(leases_path(namespace), labels=names.LABEL_SOURCE),
        )
    except NotFound:
        return None
    feed = read_feed(raw_feed)
    if isinstance(feed, Invalid):
        return feed
    now = time.monotonic()
    shards = [shard for raw in raw_shards if (shard := read_shard(raw)) is not None]
    accounts = [read_lease(raw, leases, now) for raw in raw_leases]
    source = feed.spec.accounts.source
    return World(
        feed=feed,
        shards=tuple(sorted((shard for shard in shards if shard.spec.feed == name), key=lambda shard: shard.worker)),
        pods=tuple(sorted((pod for raw in raw_pods if (pod := read_pod(raw))), key=lambda pod: pod.worker)),
        leases=tuple(
            sorted((account for account in accounts if account.source == source), key=lambda account: account.index)
        ),
        taken=_taken(shards, source, but=name),
    )


async def feed_names(cluster: Cluster, namespace: str) -> list[tuple[str, str]]:
    """Namespace and name of each feed in ``namespace`` (empty: everywhere)."""
    items = [msgspec.json.decode(raw, type=_Raw) for raw in await cluster.list(feeds_path(namespace or None))]
    return [(item.metadata.namespace, item.metadata.name) for item in items]


async def used_sources(cluster: Cluster, namespace: str) -> set[tuple[str, str]]:
    """Namespace and account source of each feed. Raises nothing for a feed that cannot be read: see ``Invalid``."""
    feeds = [read_feed(raw) for raw in await cluster.list(feeds_path(namespace or None))]
    return {(feed.namespace, feed.spec.accounts.source) for feed in feeds if isinstance(feed, Feed)}


async def account_leases(cluster: Cluster, observer: LeaseObserver, namespace: str) -> list[tuple[str, AccountLease]]:
    """Every account's Lease with its namespace."""
    labels = f"{names.LABEL_COMPONENT}={names.COMPONENT_ACCOUNT},{names.LABEL_SOURCE}"
    now = time.monotonic()
    found = []
    for raw in await cluster.list(leases_path(namespace or None), labels=labels):
        meta = msgspec.json.decode(raw, type=_Raw).metadata
        found.append((meta.namespace, read_lease(raw, observer, now)))
    return found


async def indices_elsewhere(cluster: Cluster, namespace: str, source: str, *, but: str) -> frozenset[int]:
    """Account indices of ``source`` that shards of feeds other than ``but`` have now."""
    shards = [shard for raw in await cluster.list(shards_path(namespace)) if (shard := read_shard(raw)) is not None]
    return _taken(shards, source, but=but)


def _taken(shards: Iterable[Shard], source: str, *, but: str) -> frozenset[int]:
    return frozenset(
        shard.spec.account.index
        for shard in shards
        if shard.spec.feed != but and shard.spec.account is not None and shard.spec.account.source == source
    )


async def write_status(
    cluster: Cluster, namespace: str, name: str, status: FeedStatus, *, resource_version: str
) -> None:
    """Write a feed's whole status; keys that are gone from it go.

    Raises Conflict if anybody wrote to the feed since it was seen: a status that comes late may know of fewer epochs
    than the one it would replace, and those would be given again.
    """
    body = {
        "apiVersion": names.API_VERSION,
        "kind": names.FEED_KIND,
        "metadata": {"name": name, "namespace": namespace},
        "status": manifest(status),
    }
    await cluster.apply(body, resource_version=resource_version, subresource="status")


def read_feed(raw: bytes | msgspec.Raw) -> Feed | Invalid:
    item = msgspec.json.decode(raw, type=_Raw)
    meta = item.metadata
    try:
        status = msgspec.json.decode(item.status, type=FeedStatus | None) or FeedStatus()
    except msgspec.ValidationError as error:
        logger.warning("status of IbFeed %s/%s cannot be read, and is made anew: %s", meta.namespace, meta.name, error)
        status = FeedStatus()
    try:
        spec = msgspec.json.decode(item.spec, type=FeedSpec)
    except msgspec.ValidationError as error:
        return Invalid(
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
        pin=meta.annotations.get(names.ANNOTATION_PIN, ""),
        status=status,
    )


def read_shard(raw: bytes | msgspec.Raw) -> Shard | None:
    """None for a shard whose spec cannot be read: no shard of one feed may stop the others."""
    item = msgspec.json.decode(raw, type=_Raw)
    meta = item.metadata
    try:
        spec = msgspec.json.decode(item.spec, type=ShardSpec)
    except msgspec.ValidationError as error:
        logger.warning("spec of IbShard %s/%s cannot be read: %s", meta.namespace, meta.name, error)
        return None
    try:
        status = msgspec.json.decode(item.status, type=ShardStatus | None)
    except msgspec.ValidationError as error:
        # One worker of another version must not stop the whole feed: it counts as one that has not reported.
        logger.warning("status of IbShard %s/%s cannot be read: %s", meta.namespace, meta.name, error)
        status = None
    return Shard(
        name=meta.name,
        worker=spec.worker,
        uid=meta.uid,
        resource_version=meta.resource_version,
        spec=spec,
        status=status,
        deleting=meta.deletion_timestamp is not None,
        drain=meta.annotations.get(names.ANNOTATION_DRAIN, ""),
    )


def read_pod(raw: bytes | msgspec.Raw) -> Pod | None:
    """None for a pod that carries the feed's label but is not one of its numbered workers."""
    item = msgspec.json.decode(raw, type=_Pod)
    _, _, ordinal = item.metadata.name.rpartition("-")
    if not ordinal.isdigit():
        return None
    status = item.status
    container = next((c for c in status.container_statuses or () if c.name == names.WORKER_CONTAINER), None)
    state = container.state if container is not None else _ContainerState()
    waiting = state.waiting or _Waiting()
    unscheduled = next(
        (c for c in status.conditions or () if c.type == "PodScheduled" and c.status == "False"), _PodCondition()
    )
    return Pod(
        name=item.metadata.name,
        worker=int(ordinal),
        uid=item.metadata.uid,
        deleting=item.metadata.deletion_timestamp is not None,
        container_running=state.running is not None and status.phase not in ("Failed", "Succeeded"),
        container_started_at=state.running.started_at if state.running is not None else None,
        restart_count=container.restart_count if container is not None else 0,
        ready=container.ready if container is not None else False,
        waiting_reason=waiting.reason or unscheduled.reason,
        waiting_message=waiting.message or unscheduled.message,
        died_of=_death(container),
        image=container.image if container is not None else "",
        ip=status.pod_ip,
        node=item.spec.node_name,
    )


def read_lease(raw: bytes | msgspec.Raw, observer: LeaseObserver, now: float) -> AccountLease:
    item = msgspec.json.decode(raw, type=_Lease)
    meta = item.metadata
    _, _, index = meta.name.rpartition("-")
    return AccountLease(
        name=meta.name,
        source=meta.labels.get(names.LABEL_SOURCE, ""),
        index=int(index) if index.isdigit() else -1,
        holder=item.spec.holder_identity or "",
        renew_seen_age_s=observer.age(meta.namespace, meta.name, meta.resource_version, now),
        failed=_count(meta.annotations.get(names.ANNOTATION_FAILED_LOGINS)),
        last_failure=meta.annotations.get(names.ANNOTATION_LAST_FAILURE, ""),
        parked=meta.annotations.get(names.ANNOTATION_PARKED, ""),
        next_login=_date(meta.annotations.get(names.ANNOTATION_NEXT_LOGIN)),
        resource_version=meta.resource_version,
    )


def _death(container: _ContainerStatus | None) -> str:
    dead = container and (container.state.terminated or container.last_state.terminated)
    if not dead or not dead.exit_code:
        return ""
    return dead.reason if dead.reason not in ("", "Error") else f"exit code {dead.exit_code}"


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _date(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
