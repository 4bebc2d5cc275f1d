"""Builds the workers' identity and rights: ServiceAccount, Role, RoleBinding."""

from __future__ import annotations

from collections.abc import Iterable

from ibfeed_api.feed import FeedSpec
from ibfeed_api.kinds import GROUP, SHARD_PLURAL
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.metadata import Manifest, owned, worker_account_name

_RBAC = "rbac.authorization.k8s.io"


def service_account(feed: Feed) -> Manifest:
    """Return the workers' identity. With a vault, its annotations bind it to an Azure one (workload identity)."""
    metadata = owned(feed, worker_account_name(feed.name))
    vault = feed.spec.accounts.key_vault
    annotations = {}
    if vault is not None and vault.client_id is not None:
        annotations["azure.workload.identity/client-id"] = vault.client_id
    if vault is not None and vault.tenant_id is not None:
        annotations["azure.workload.identity/tenant-id"] = vault.tenant_id
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,  # the worker's pod requests it itself
    }


def role(feed: Feed, *, shards: Iterable[str]) -> Manifest:
    """Return a role that names every object that a worker may read or write.

    ``shards`` are those of all workers that exist or are wanted. ``list`` and ``watch`` of a named object work with a
    ``metadata.name`` field selector only. The Leases are those of the whole range of accounts. So a worker can be given
    another account without first widening its rights.
    """
    shard_names = sorted(shards)
    accounts = feed.spec.accounts
    leases = [*map(accounts.lease_name, accounts.indices), accounts.logins_lease_name]
    rules: list[Manifest] = [
        _rule(GROUP, SHARD_PLURAL, shard_names, "list", "watch"),
        _rule(GROUP, f"{SHARD_PLURAL}/status", shard_names, "patch"),
        _rule("coordination.k8s.io", "leases", leases, "get", "patch"),
    ]
    if secrets := _secrets(feed.spec):
        rules.append(_rule("", "secrets", secrets, "get"))
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": owned(feed, worker_account_name(feed.name)),
        # A rule without names would allow every object, so without shards there is no rule at all.
        "rules": rules if shard_names else [],
    }


def role_binding(feed: Feed) -> Manifest:
    name = worker_account_name(feed.name)
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": owned(feed, name),
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": feed.namespace}],
    }


def _rule(group: str, resource: str, resource_names: list[str], *verbs: str) -> Manifest:
    return {"apiGroups": [group], "resources": [resource], "resourceNames": resource_names, "verbs": list(verbs)}


def _secrets(spec: FeedSpec) -> list[str]:
    accounts = spec.accounts.secret_ref
    return sorted({*spec.kafka.secrets, *([accounts.name] if accounts is not None else [])})
