"""Builds the names, labels and owner references that the objects of a feed have in common."""

from __future__ import annotations

from typing import Any

from ibfeed_api.kinds import API_VERSION, FEED_KIND, OPERATOR_FIELD_MANAGER
from ibfeed_api.labels import COMPONENT_WORKER, LABEL_COMPONENT, LABEL_FEED, LABEL_MANAGED_BY, LABEL_NAME, NAME
from ibfeed_operator.model.types import Feed

Manifest = dict[str, Any]


def selector(feed: str) -> dict[str, str]:
    """Return the labels that select the worker pods of one feed in its namespace.

    They may never change, since the selector of a StatefulSet cannot.
    """
    return {LABEL_FEED: feed, LABEL_COMPONENT: COMPONENT_WORKER}


def labels(feed: str) -> dict[str, str]:
    return {
        LABEL_NAME: NAME,
        LABEL_MANAGED_BY: OPERATOR_FIELD_MANAGER,
        **selector(feed),
    }


def worker_account_name(feed: str) -> str:
    """Return the name of the ServiceAccount, Role and RoleBinding that the workers of a feed share."""
    return f"{feed}-worker"


def owner_reference(feed: Feed) -> Manifest:
    """Return the reference by which the garbage collector deletes an object with its feed.

    It is without ``blockOwnerDeletion``, since no object may delay the deletion of the feed.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": FEED_KIND,
        "name": feed.name,
        "uid": feed.uid,
        "controller": True,
    }


def owned(feed: Feed, name: str, *, extra_labels: dict[str, str] | None = None) -> Manifest:
    """Return the ``metadata`` of an object that is deleted with the feed."""
    return {
        "name": name,
        "namespace": feed.namespace,
        "labels": labels(feed.name) | (extra_labels or {}),
        "ownerReferences": [owner_reference(feed)],
    }
