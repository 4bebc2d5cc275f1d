"""The Lease of an account, as it is before anybody holds it, and the one in which workers take turns to log in."""

from __future__ import annotations

from ibfeed_api.feed import Accounts
from ibfeed_api.kinds import OPERATOR_FIELD_MANAGER
from ibfeed_api.labels import COMPONENT_ACCOUNT, LABEL_COMPONENT, LABEL_MANAGED_BY, LABEL_NAME, LABEL_SOURCE, NAME
from ibfeed_operator.resources.metadata import Manifest


def account_labels(source: str) -> dict[str, str]:
    return {
        LABEL_NAME: NAME,
        LABEL_MANAGED_BY: OPERATOR_FIELD_MANAGER,
        LABEL_COMPONENT: COMPONENT_ACCOUNT,
        LABEL_SOURCE: source,
    }


def account_lease(namespace: str, accounts: Accounts, index: int) -> Manifest:
    """An unheld Lease, to be created, never applied: from then on it belongs to whoever holds the account.

    No owner: the failed logins that it counts must outlive every feed that uses the account.
    """
    return _lease(namespace, accounts, accounts.lease_name(index))


def logins_lease(namespace: str, accounts: Accounts) -> Manifest:
    """One for all of the source, to be created, never applied. It goes when the source's last Lease may."""
    return _lease(namespace, accounts, accounts.logins_lease_name)


def _lease(namespace: str, accounts: Accounts, name: str) -> Manifest:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace, "labels": account_labels(accounts.source)},
        "spec": {"leaseDurationSeconds": 10},
    }
