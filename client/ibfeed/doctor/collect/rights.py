"""Rights, by reviews of the API server: it answers for RBAC and for every other authoriser."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ibfeed.cluster import Cluster
from ibfeed.doctor.collect.together import each
from ibfeed.doctor.facts import Right
from ibfeed.doctor.release import Rule, this_release
from ibfeed.doctor.seen import SeenFeed, SeenShard

_API: Final = "authorization.k8s.io/v1"
_GROUP: Final = "ibfeed.dev"
# The rights that the role `view` gives, together with ours.
_MINE: Final = (
    *(("list", _GROUP, kind) for kind in ("ibfeeds", "ibshards", "ibsinks")),
    *(("list", "", kind) for kind in ("pods", "events")),
    ("get", "", "pods/log"),
)


def my_rights(cluster: Cluster) -> tuple[Right, ...]:
    """Return the rights of the person who asks, to read what belongs to a feed."""
    wanted = [Right(verb, group, kind, namespace=cluster.namespace) for verb, group, kind in _MINE]
    return tuple(each(wanted, lambda right: _reviewed(cluster, right, "selfsubjectaccessreviews", {})))


def operator_rights(cluster: Cluster, account: str) -> tuple[Right, ...]:
    """Return the operator's rights in the feed's namespace and its own.

    Args:
        account: ``namespace:name`` of its ServiceAccount.
    """
    own = account.partition(":")[0]
    wanted = [
        *_of_rules(this_release().operator_rules, cluster.namespace),
        *_of_rules(this_release().own_rules, own),
    ]
    return _of_account(cluster, account, wanted)


def worker_rights(cluster: Cluster, feed: SeenFeed, shards: Iterable[SeenShard]) -> tuple[Right, ...]:
    """Return the rights of a feed's workers on the objects that they use."""
    return _of_account(cluster, f"{cluster.namespace}:{feed.name}-worker", list(wanted_of_worker(feed, shards)))


def wanted_of_worker(feed: SeenFeed, shards: Iterable[SeenShard]) -> Iterator[Right]:
    """Yield the rights that a feed's workers need: of the objects of each kind, those of the first and last name."""
    there = list(shards)
    names = sorted(shard.name for shard in there)
    leases = sorted({shard.spec.account.lease for shard in there if shard.spec.account is not None})
    kafka, accounts = feed.spec.kafka, feed.spec.accounts
    registry = kafka.schema_registry.secret_ref if kafka.schema_registry is not None else None
    references = (accounts.secret_ref, kafka.secret_ref, kafka.ca_secret_ref, registry)
    secrets = sorted({reference.name for reference in references if reference is not None})
    for verbs, group, kind, of in (
        (("list", "watch"), _GROUP, "ibshards", names),
        (("patch",), _GROUP, "ibshards/status", names),
        (("get", "patch"), "coordination.k8s.io", "leases", leases),
        (("get",), "", "secrets", secrets),
    ):
        for name in dict.fromkeys((*of[:1], *of[-1:])):
            for verb in verbs:
                yield Right(verb, group, kind, name, feed.metadata.namespace)


def _of_rules(rules: Iterable[Rule], namespace: str) -> Iterator[Right]:
    for rule in rules:
        for group in rule.api_groups:
            for kind in rule.resources:
                for name in rule.resource_names or ("",):
                    for verb in rule.verbs:
                        yield Right(verb, group, kind, name, namespace)


def _of_account(cluster: Cluster, account: str, wanted: Iterable[Right]) -> tuple[Right, ...]:
    namespace = account.partition(":")[0]
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    who = {"user": f"system:serviceaccount:{account}", "groups": groups}
    unique = dict.fromkeys(wanted)
    return tuple(each(unique, lambda right: _reviewed(cluster, right, "subjectaccessreviews", who)))


def _reviewed(cluster: Cluster, right: Right, review: str, who: dict[str, Any]) -> Right:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "name": right.name,
        "namespace": right.namespace,
    }
    kind = "SelfSubjectAccessReview" if review.startswith("self") else "SubjectAccessReview"
    body = {"apiVersion": _API, "kind": kind, "spec": {"resourceAttributes": attributes, **who}}
    answer = cluster.create(review, body, api=_API, namespace="")
    return dataclasses.replace(right, allowed=bool(answer.get("status", {}).get("allowed")))
