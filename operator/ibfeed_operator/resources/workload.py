"""Builds the objects that run the workers of a feed: StatefulSet, headless Service, PodDisruptionBudget."""

from __future__ import annotations

from ibfeed_api.labels import ANNOTATION_ASKED_AGAIN
from ibfeed_api.worker_pod import WORKER_PORT
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.metadata import Manifest, owned, selector
from ibfeed_operator.resources.pod import pod_template


def stateful_set(feed: Feed, *, image: str, replicas: int, asked_again: int | None = None) -> Manifest:
    """Return the StatefulSet of a feed's workers.

    It is a StatefulSet since an account allows one session, and of a name there is never more than one pod.
    ``Parallel``: workers do not wait for one another, and a template that cannot start gives way to a good one.
    ``minReadySeconds``: an update takes the next pod only after the previous one has streamed for so long, which is
    enough to hand its contracts to it.

    ``asked_again``: a number that grows while a pod is refused. After refusals the StatefulSet controller waits up to
    17 minutes before it tries again, but a change of the object makes it try at once.
    """
    metadata = owned(feed, feed.name)
    if asked_again is not None:
        metadata["annotations"] = {ANNOTATION_ASKED_AGAIN: str(asked_again)}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "serviceName": feed.name,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
            "minReadySeconds": 5,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector(feed.name)},
            "template": pod_template(feed, image),
        },
    }


def headless_service(feed: Feed) -> Manifest:
    """Return the Service that gives the pods their DNS names.

    Pods that are not ready have one, too, since the operator calls a certain worker and not the service.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": owned(feed, feed.name),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector(feed.name),
            "ports": [{"name": "http", "port": WORKER_PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def disruption_budget(feed: Feed) -> Manifest:
    """Return a budget by which one worker at a time leaves a drained node.

    A worker that does not stream never holds up a drain.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": owned(feed, feed.name),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(feed.name)},
        },
    }
