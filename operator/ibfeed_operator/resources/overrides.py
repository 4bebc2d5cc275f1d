"""Merges an installation's settings of the workers' pods (``spec.worker``) into the operator's template.

The settings are named fields, not a fragment of a pod that is laid over ours. So the API server can check each field,
and a setting that would break a worker cannot be written at all. Among others, the container's name and command, its
probes, volumes, security context, ServiceAccount and grace period cannot be set: see
docs/architecture/pod-settings.md.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ibfeed_api.worker_pod import WorkerPod
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.metadata import Manifest, selector

# With a proxy the worker, which is not root, listens on IB's port on the loopback interface (``gateway/tunnel.py``).
# The kubelet's list of safe settings, and Pod Security `restricted`, allow this one.
_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy")
_UNPRIVILEGED_PORTS: Final = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "443"}


def overridden(template: Manifest, feed: Feed) -> Manifest:
    """Return ``template`` with the feed's ``spec.worker`` merged in. Fields that it does not set stay as they are."""
    worker = feed.spec.worker
    metadata, spec = template["metadata"], template["spec"]
    (container,) = spec["containers"]
    return {
        "metadata": metadata
        | {
            # The labels and annotations by which the operator and Kubernetes find pods take precedence.
            "labels": worker.labels | metadata["labels"],
            "annotations": worker.annotations | metadata["annotations"],
        },
        "spec": spec
        | _placement(worker, feed)
        | {"containers": [_container(container, worker)]}
        | _sysctls(spec, worker),
    }


def _placement(worker: WorkerPod, feed: Feed) -> Manifest:
    fields: Manifest = {}
    if worker.image_pull_secrets:
        fields["imagePullSecrets"] = _plain(worker.image_pull_secrets)
    if worker.node_selector:
        fields["nodeSelector"] = worker.node_selector
    if worker.tolerations:
        fields["tolerations"] = list(worker.tolerations)
    if worker.affinity:
        fields["affinity"] = worker.affinity
    if worker.priority_class_name:
        fields["priorityClassName"] = worker.priority_class_name
    if worker.topology_spread_constraints:
        ours = {"labelSelector": {"matchLabels": selector(feed.name)}}
        fields["topologySpreadConstraints"] = [ours | constraint for constraint in worker.topology_spread_constraints]
    return fields


def _container(container: Manifest, worker: WorkerPod) -> Manifest:
    resources = {kind: dict(amounts) for kind, amounts in container["resources"].items()}
    for kind, amounts in _plain(worker.resources).items():
        resources[kind] = resources.get(kind, {}) | amounts
    return container | {
        "imagePullPolicy": str(worker.image_pull_policy),
        "resources": resources,
        "env": [*container["env"], *_plain(worker.env)],
    }


def _sysctls(spec: Manifest, worker: WorkerPod) -> Manifest:
    if not any(variable.name in _PROXY_VARIABLES for variable in worker.env):
        return {}
    return {"securityContext": spec["securityContext"] | {"sysctls": [_UNPRIVILEGED_PORTS]}}


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
