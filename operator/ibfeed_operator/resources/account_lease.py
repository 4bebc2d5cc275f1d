"""Builds the Lease of an account, not yet held, and the Lease by which workers take turns to log in."""

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
    """Return an unheld Lease, to be created and never applied: from then on it belongs to the account's holder.

    It has no owner, since the failed logins that it counts must outlive every feed that uses the account.
    """
    return _lease(namespace, accounts, accounts.lease_name(index))


def logins_lease(namespace: str, accounts: Accounts) -> Manifest:
    """Return the one Lease of a source's logins, to be created and never applied.

    It is deleted when the source's last account Lease may be.
    """
    return _lease(namespace, accounts, accounts.logins_lease_name)


def _lease(namespace: str, accounts: Accounts, name: str) -> Manifest:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace, "labels": account_labels(accounts.source)},
        "spec": {"leaseDurationSeconds": 10},
    }
