"""Reads feeds, shards, sinks, accounts and events from the cluster. Each call's errors are those of ``Cluster``."""

from __future__ import annotations

import datetime as dt

from ibfeed.cluster.accounts import Accounts, accounts_of
from ibfeed.cluster.connection import Cluster
from ibfeed.cluster.labels import SOURCE
from ibfeed.cluster.objects import Feed, FeedNews, Lease, Shard, Sink, read
from ibfeed.errors import ClusterRefusedError, MissingObjectError

LEASES = "coordination.k8s.io/v1"


def feeds(cluster: Cluster) -> list[Feed]:
    """Return the namespace's feeds, by name."""
    try:
        found = cluster.items("ibfeeds")
    except MissingObjectError:
        raise MissingObjectError(
            "this cluster knows no IbFeeds: install ibfeed's CRDs (kubectl apply --server-side -f crds/)"
        ) from None
    return sorted((read(Feed, one) for one in found), key=lambda feed: feed.name)


def feed(cluster: Cluster, name: str) -> Feed:
    """Return a feed. A missing one is named together with those that are there."""
    known = feeds(cluster)
    found = next((one for one in known if one.name == name), None)
    if found is None:
        there = f"it has {', '.join(one.name for one in known)}" if known else "it has none"
        raise MissingObjectError(
            f"namespace {cluster.namespace} has no IbFeed {name}: {there}; choose another namespace with -n"
        )
    return found


def only_feed(cluster: Cluster, name: str) -> Feed:
    """Return the feed ``name``; without a name the only one of the namespace."""
    if name:
        return feed(cluster, name)
    known = feeds(cluster)
    if len(known) != 1:
        there = ", ".join(one.name for one in known) or "none"
        raise MissingObjectError(f"say which feed: namespace {cluster.namespace} has {there} (-n names another one)")
    return known[0]


def shards(cluster: Cluster, of: str = "") -> list[Shard]:
    """Return the shards of a feed, or of all, by worker."""
    found = (read(Shard, one) for one in cluster.items("ibshards"))
    return sorted((one for one in found if of in ("", one.spec.feed)), key=lambda one: (one.spec.feed, one.spec.worker))


def shard(cluster: Cluster, worker: str) -> Shard:
    """Return a worker's shard. A missing one is named together with those that are there."""
    known = shards(cluster)
    found = next((one for one in known if one.name == worker), None)
    if found is None:
        there = f"it has {', '.join(one.name for one in known)}" if known else "it has none"
        raise MissingObjectError(f"namespace {cluster.namespace} has no worker {worker}: {there}")
    return found


def sinks(cluster: Cluster) -> list[Sink]:
    return [read(Sink, one) for one in cluster.items("ibsinks")]


def accounts(cluster: Cluster, of: Feed, its: list[Shard]) -> Accounts:
    """Return the accounts of a feed whose shards are ``its``."""
    found = [read(Lease, one) for one in cluster.items("leases", api=LEASES, labels=SOURCE)]
    return accounts_of(of, its, found, dt.datetime.now(dt.UTC))


def accounts_if_allowed(cluster: Cluster, of: Feed, its: list[Shard]) -> Accounts | None:
    """The same; None if the user may not read Leases, which a viewer of a namespace often may not."""
    try:
        return accounts(cluster, of, its)
    except ClusterRefusedError:
        return None


def news(cluster: Cluster, of: Feed) -> list[FeedNews]:
    """Return the events about a feed; none if the user may not read them."""
    try:
        found = [read(FeedNews, one) for one in cluster.items("events", api="v1")]
    except ClusterRefusedError:
        return []
    about = [one for one in found if one.involved_object.kind == "IbFeed"]
    return [one for one in about if one.involved_object.name == of.name]
