"""Pure builders of all objects that the operator creates, from typed values to manifests."""

from __future__ import annotations

from collections.abc import Iterable

from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.account_lease import account_labels, account_lease, logins_lease
from ibfeed_operator.resources.metadata import Manifest, labels, owner_reference, selector, worker_account_name
from ibfeed_operator.resources.network import network_policy
from ibfeed_operator.resources.permissions import role, role_binding, service_account
from ibfeed_operator.resources.shard import shard, shard_spec
from ibfeed_operator.resources.workload import disruption_budget, headless_service, stateful_set

__all__ = [
    "Manifest",
    "account_labels",
    "account_lease",
    "children",
    "labels",
    "logins_lease",
    "owner_reference",
    "selector",
    "shard",
    "shard_spec",
    "worker_account_name",
]


def children(
    feed: Feed,
    *,
    image: str,
    operator_namespace: str,
    replicas: int,
    shards: Iterable[str],
    asked_again: int | None = None,
) -> tuple[Manifest, ...]:
    """Return the objects to apply for a feed, in this order: the workers' identity and rights before the workers.

    Args:
        image: the operator's image, for a feed that names none of its own.
        operator_namespace: the namespace from which the operator calls the workers.
        replicas: how many pods there should be (0 while suspended).
        shards: names of the IbShards that exist or are about to.
        asked_again: see ``stateful_set``.
    """
    return (
        service_account(feed),
        role(feed, shards=shards),
        role_binding(feed),
        network_policy(feed, operator_namespace=operator_namespace),
        headless_service(feed),
        disruption_budget(feed),
        stateful_set(feed, image=image, replicas=replicas, asked_again=asked_again),
    )
