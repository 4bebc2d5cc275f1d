"""Facts about one feed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from ibfeed.cluster import Cluster
from ibfeed.cluster.kafka_access import KafkaAccess, kafka_access, kafka_secrets, secret_values
from ibfeed.cluster.labels import FEED, SOURCE
from ibfeed.doctor.collect import kafka, leases, registry, rights
from ibfeed.doctor.collect.together import together
from ibfeed.doctor.facts import Fact, FeedFacts, KafkaFacts, RegistryFacts, Unknown, WatchedLease
from ibfeed.doctor.seen import (
    SeenEvent,
    SeenFeed,
    SeenLease,
    SeenPod,
    SeenQuota,
    SeenShard,
    SeenSink,
    see,
    see_all,
)
from ibfeed.errors import ClusterRefusedError, MissingObjectError

_LEASES: Final = "coordination.k8s.io/v1"


def collect_feed(cluster: Cluster, raw: dict[str, Any]) -> FeedFacts:
    """Ask for all that belongs to a feed, side by side.

    Args:
        cluster: whose namespace is the feed's.
        raw: the IbFeed.
    """
    feed = see(raw, SeenFeed)
    labels = f"{FEED}={feed.name}"
    found = together(
        {
            "shards": lambda: _shards(cluster, feed),
            "pods": lambda: see_all(cluster.items("pods", api="v1", labels=labels), SeenPod),
            "events": partial(_events, cluster),
            "quotas": lambda: see_all(cluster.items("resourcequotas", api="v1"), SeenQuota),
            "accounts": partial(_accounts, cluster, feed),
            "secrets": partial(_secrets, cluster, feed, raw),
            "worker_rights": lambda: rights.worker_rights(cluster, feed, _shards(cluster, feed)),
            "kafka": partial(_kafka, cluster, raw),
            "registry": partial(_registry, cluster, raw),
            "sinks": lambda: see_all(cluster.items("ibsinks"), SeenSink),
        }
    )
    return FeedFacts(now=dt.datetime.now(dt.UTC), feed=feed, **found)


def _shards(cluster: Cluster, feed: SeenFeed) -> tuple[SeenShard, ...]:
    every = see_all(cluster.items("ibshards"), SeenShard)
    return tuple(shard for shard in every if shard.spec.feed == feed.name)


def _events(cluster: Cluster) -> tuple[SeenEvent, ...]:
    path = f"/api/v1/namespaces/{cluster.namespace}/events"
    found = cluster.call("GET", path, query={"fieldSelector": "type=Warning"})
    return see_all(found.get("items") or [], SeenEvent)


def _accounts(cluster: Cluster, feed: SeenFeed) -> tuple[WatchedLease, ...]:
    """Return the Leases of the feed's accounts and of their logins. Other feeds of the same source have more."""

    def look() -> tuple[SeenLease, ...]:
        names = {shard.spec.account.lease for shard in _shards(cluster, feed) if shard.spec.account is not None}
        every = see_all(cluster.items("leases", api=_LEASES, labels=SOURCE), SeenLease)
        sources = {lease.metadata.labels[SOURCE] for lease in every if lease.name in names}
        wanted = {str(index) for index in feed.spec.accounts.indices} | {"logins"}
        return tuple(
            lease
            for lease in every
            if lease.metadata.labels[SOURCE] in sources and lease.name.rpartition("-")[2] in wanted
        )

    return leases.watched(cluster, look)


def _secrets(cluster: Cluster, feed: SeenFeed, raw: dict[str, Any]) -> Mapping[str, frozenset[str] | None]:
    """Return the keys of each Secret. Their values are forgotten here."""
    accounts = feed.spec.accounts.secret_ref
    names = {*kafka_secrets(raw), *([accounts.name] if accounts is not None else [])}
    return {name: _keys(cluster, name) for name in sorted(names)}


def _keys(cluster: Cluster, name: str) -> frozenset[str] | None:
    try:
        return frozenset(cluster.get("secrets", name, api="v1").get("data") or {})
    except MissingObjectError:
        return None


def _access(cluster: Cluster, raw: dict[str, Any]) -> Fact[KafkaAccess]:
    """Return the way to Kafka. A Secret that is missing is a finding of its own, and without it nothing is tried."""
    values = {}
    for name in kafka_secrets(raw):
        try:
            values[name] = secret_values(cluster.get("secrets", name, api="v1"))
        except MissingObjectError:
            return Unknown(f"Secret {name} is missing, so there are no credentials to try")
        except ClusterRefusedError as error:
            return Unknown(f"Secret {name} may not be read, so there are no credentials to try ({error})")
    return kafka_access(raw, values)


def _kafka(cluster: Cluster, raw: dict[str, Any]) -> Fact[KafkaFacts]:
    access = _access(cluster, raw)
    return access if isinstance(access, Unknown) else kafka.collect_kafka(access)


def _registry(cluster: Cluster, raw: dict[str, Any]) -> Fact[RegistryFacts | None]:
    if raw["spec"]["kafka"].get("format") != "Avro":
        return None
    access = _access(cluster, raw)
    if isinstance(access, Unknown):
        return access
    return None if access.registry is None else registry.collect_registry(access.registry)
