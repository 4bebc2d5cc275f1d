"""Reading a feed's world from the cluster into the frozen values of ``facts.py``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import msgspec

from ibfeed_api.feed import is_vault
from ibfeed_api.kinds import API_VERSION, FEED_KIND, FEED_PLURAL, SHARD_PLURAL
from ibfeed_api.labels import LABEL_FEED, LABEL_SOURCE
from ibfeed_api.lease import TAKEOVER_S, pod_of
from ibfeed_operator.kube.client import KubeClient, collection
from ibfeed_operator.kube.errors import NotFoundError
from ibfeed_operator.kube.informer import Informer
from ibfeed_operator.kube.lease_age import LeaseObserver
from ibfeed_operator.kube.store import Change
from ibfeed_operator.model.decode import InvalidFeed, Named, read_feed, read_lease, read_pod, read_shard
from ibfeed_operator.model.feed_status import FeedStatus
from ibfeed_operator.model.types import AccountLease, Feed, Pod, Shard
from ibfeed_operator.planning.claims import AccountClaim, Claims
from ibfeed_operator.status.feed import manifest

LEASE_API: Final = "coordination.k8s.io/v1"
# A silence of the watch that long makes a cycle list. Shards and Leases are what contracts are given away by.
_FRESH_S: Final = 0.5
_PODS_FRESH_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything of one feed at (almost) one moment.

    ``taken``: account indices that other feeds' shards have on this feed's source in its namespace. ``leases``: all of
    the source, there. ``claims``: those of all namespaces on the same accounts.
    """

    feed: Feed
    shards: tuple[Shard, ...]
    pods: tuple[Pod, ...]
    leases: tuple[AccountLease, ...]
    taken: frozenset[int]
    claims: Claims = field(default_factory=Claims)


def feeds_path(namespace: str | None) -> str:
    return collection(API_VERSION, FEED_PLURAL, namespace)


def feed_path(namespace: str, name: str) -> str:
    return f"{feeds_path(namespace)}/{name}"


def shards_path(namespace: str | None) -> str:
    return collection(API_VERSION, SHARD_PLURAL, namespace)


def leases_path(namespace: str | None) -> str:
    return collection(LEASE_API, "leases", namespace)


class Informers:
    """The informers of shards, workers' pods and accounts' Leases, in ``namespace`` or (empty) everywhere.

    ``ages``: how long each Lease has been seen unchanged; up to when the watch was last heard, so that a silent watch
    makes nobody look dead.
    """

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        where = namespace or None
        pods, leases = collection("v1", "pods", where), leases_path(where)
        self.ages: Final = LeaseObserver()
        self.shards: Final = Informer(kube, shards_path(where), read_shard, fresh_s=_FRESH_S)
        self.pods: Final = Informer(kube, pods, read_pod, labels=LABEL_FEED, fresh_s=_PODS_FRESH_S)
        self.leases: Final = Informer(kube, leases, read_lease, labels=LABEL_SOURCE, fresh_s=_FRESH_S)
        self.leases.listen(self._age)

    async def fresh(self) -> None:
        """Raises ClusterError."""
        await asyncio.gather(self.shards.fresh(), self.pods.fresh(), self.leases.fresh())

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for informer in (self.shards, self.pods, self.leases):
                group.create_task(informer.run())

    def accounts(
        self, namespace: str | None = None, wanted: Callable[[AccountLease], bool] = lambda _: True
    ) -> list[tuple[str, AccountLease]]:
        """Every account's Lease that is wanted, with its namespace and its age."""
        now = min(time.monotonic(), self.leases.heard_at)
        return [
            (key[0], replace(lease, renew_seen_age_s=self.ages.age(*key, lease.resource_version, now)))
            for key, lease in self.leases.values(namespace)
            if wanted(lease)
        ]

    def _age(self, change: Change[AccountLease]) -> None:
        """So that an operator that takes over knows at once which worker has been silent for how long."""
        if change.after is None:
            self.ages.forget(*change.key)
        else:
            self.ages.age(*change.key, change.after.resource_version, time.monotonic())


async def read_snapshot(
    kube: KubeClient, informers: Informers, namespace: str, name: str, now: datetime
) -> Snapshot | InvalidFeed | None:
    """Read a feed and all that belongs to it; None if there is no such feed (any more)."""
    try:
        raw_feed, _ = await asyncio.gather(kube.get(feed_path(namespace, name)), informers.fresh())
    except NotFoundError:
        return None
    feed = read_feed(raw_feed)
    if isinstance(feed, InvalidFeed):
        return feed
    source = feed.spec.accounts.source
    shards = [shard for _, shard in informers.shards.values(namespace)]
    pods = (pod for _, pod in informers.pods.values(namespace) if pod.feed == name)
    accounts = [account for _, account in informers.accounts(namespace, lambda account: account.source == source)]
    return Snapshot(
        feed=feed,
        shards=tuple(sorted((shard for shard in shards if shard.spec.feed == name), key=lambda shard: shard.worker)),
        pods=tuple(sorted(pods, key=lambda pod: pod.worker)),
        leases=tuple(sorted(accounts, key=lambda account: account.index)),
        taken=taken_elsewhere(shards, source, but=name),
        claims=claims_on(informers, namespace, source, accounts, now),
    )


def claims_on(
    informers: Informers, namespace: str, source: str, accounts: Iterable[AccountLease], now: datetime
) -> Claims:
    """Claims of all followed namespaces that concern the accounts of a source: see ``claims.py``."""
    own = {account.index: account for account in accounts}
    vault = source if is_vault(source) else ""
    users = {account.user: account.index for account in own.values() if account.user}
    found: list[AccountClaim] = []
    for (where, name), shard in informers.shards.values():
        if (account := shard.spec.account) is None:
            continue
        lease = informers.leases.value((where, account.lease))
        user = lease.user if lease is not None else ""
        of_vault = account.source if is_vault(account.source) else ""
        if not (vault and of_vault == vault) and user not in users:
            continue
        found.append(
            AccountClaim(
                worker=f"{where}/{name}",
                lease=f"{where}/{account.lease}",
                index=account.index,
                vault=of_vault,
                user=user,
                since=lease.user_since if lease is not None else None,
                denied=bool(account.used_by),
            )
        )

    def is_of_vault(lease: AccountLease) -> bool:
        return bool(vault) and lease.source == vault and lease.index >= 0

    claimed = {claim.lease for claim in found}
    parked: dict[int, str] = {}
    for where, lease in informers.accounts(wanted=lambda lease: is_of_vault(lease) or lease.user in users):
        key = f"{where}/{lease.name}"
        # A worker that is on its way out has the account for as long as it holds the Lease.
        if lease.holder and lease.renew_seen_age_s < TAKEOVER_S and key not in claimed:
            found.append(
                AccountClaim(
                    worker=f"{where}/{pod_of(lease.holder)}",
                    lease=key,
                    index=lease.index,
                    vault=lease.source if is_vault(lease.source) else "",
                    user=lease.user,
                    since=lease.user_since,
                )
            )
        again = lease.history.try_again_at
        if where != namespace and lease.parked and (again is None or again > now):
            parked[lease.index if is_of_vault(lease) else users[lease.user]] = where
    return Claims(all=tuple(found), parked=parked)


async def feed_names(kube: KubeClient, namespace: str) -> list[tuple[str, str]]:
    """Namespace and name of each feed in ``namespace`` (empty: everywhere)."""
    items = [msgspec.json.decode(raw, type=Named) for raw in await kube.list(feeds_path(namespace or None))]
    return [(item.metadata.namespace, item.metadata.name) for item in items]


async def used_sources(kube: KubeClient, namespace: str) -> set[tuple[str, str]]:
    """Namespace and account source of each feed. Raises nothing for a feed that cannot be read: see ``InvalidFeed``."""
    feeds = [read_feed(raw) for raw in await kube.list(feeds_path(namespace or None))]
    return {(feed.namespace, feed.spec.accounts.source) for feed in feeds if isinstance(feed, Feed)}


async def indices_elsewhere(kube: KubeClient, namespace: str, source: str, *, but: str) -> frozenset[int]:
    """Account indices of ``source`` that shards of feeds other than ``but`` have now."""
    shards = [shard for raw in await kube.list(shards_path(namespace)) if (shard := read_shard(raw)) is not None]
    return taken_elsewhere(shards, source, but=but)


def taken_elsewhere(shards: Iterable[Shard], source: str, *, but: str) -> frozenset[int]:
    """Account indices of ``source`` that ``shards`` of feeds other than ``but`` have."""
    return frozenset(
        shard.spec.account.index
        for shard in shards
        if shard.spec.feed != but and shard.spec.account is not None and shard.spec.account.source == source
    )


async def write_status(
    kube: KubeClient, namespace: str, name: str, status: FeedStatus, *, resource_version: str
) -> None:
    """Write a feed's whole status; keys that are gone from it go.

    Raises Conflict if anybody wrote to the feed since it was seen: a status that comes late may know of fewer epochs
    than the one it would replace, and those would be given again.
    """
    body = {
        "apiVersion": API_VERSION,
        "kind": FEED_KIND,
        "metadata": {"name": name, "namespace": namespace},
        "status": manifest(status),
    }
    await kube.apply(body, resource_version=resource_version, subresource="status")
