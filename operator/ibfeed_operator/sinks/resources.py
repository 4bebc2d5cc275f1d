"""Builds the objects that run a sink, from typed values to manifests. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ibfeed_api.kinds import API_VERSION, GROUP, OPERATOR_FIELD_MANAGER, SINK_KIND, SINK_PLURAL
from ibfeed_api.labels import COMPONENT_SINK, LABEL_COMPONENT, LABEL_MANAGED_BY, LABEL_NAME, LABEL_SINK, NAME
from ibfeed_api.sink import (
    DESTINATION_CA_FOLDER,
    DESTINATION_FOLDER,
    EXTRA_CA_FOLDER,
    KAFKA_CA_FOLDER,
    KAFKA_FOLDER,
    SETTINGS_VARIABLE,
    SINK_CONTAINER,
    SINK_PORT,
    SinkSettings,
    SinkSpec,
    sink_group,
)
from ibfeed_operator.resources.metadata import Manifest
from ibfeed_operator.resources.network import LABEL_METRICS, METRICS_ALLOWED
from ibfeed_operator.sinks.model import Sink, SinkFeed

_UID: Final = 10001
_RBAC: Final = "rbac.authorization.k8s.io"
_RESOURCES: Final = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}


def child_name(sink: str) -> str:
    """Return the name of all objects of a sink. A feed's objects are not named so, unless the feed itself is."""
    return f"{sink}-sink"


def sink_selector(sink: str) -> dict[str, str]:
    """Return the labels that select the pods of one sink. They may never change, as a Deployment's selector cannot."""
    return {LABEL_SINK: sink, LABEL_COMPONENT: COMPONENT_SINK}


def sink_children(sink: Sink, spec: SinkSpec, feed: SinkFeed, *, image: str) -> tuple[Manifest, ...]:
    """Return the objects to apply for a sink, in this order: identity and rights before the pods.

    Args:
        image: the operator's image, for a sink that names none of its own.
    """
    return (
        _service_account(sink),
        _role(sink),
        _role_binding(sink),
        _network_policy(sink),
        _deployment(sink, spec, feed, image),
    )


def _metadata(sink: Sink) -> Manifest:
    owner = {"apiVersion": API_VERSION, "kind": SINK_KIND, "name": sink.name, "uid": sink.uid, "controller": True}
    return {
        "name": child_name(sink.name),
        "namespace": sink.namespace,
        "labels": _labels(sink.name),
        "ownerReferences": [owner],
    }


def _labels(sink: str) -> dict[str, str]:
    return {LABEL_NAME: NAME, LABEL_MANAGED_BY: OPERATOR_FIELD_MANAGER, **sink_selector(sink)}


def _service_account(sink: Sink) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(sink),
        "automountServiceAccountToken": False,  # the pod requests it itself
    }


def _role(sink: Sink) -> Manifest:
    """Return a role with one right: to tell in the sink's own status how far it has come. Secrets come as files."""
    rule = {
        "apiGroups": [GROUP],
        "resources": [f"{SINK_PLURAL}/status"],
        "resourceNames": [sink.name],
        "verbs": ["patch"],
    }
    return {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": _metadata(sink), "rules": [rule]}


def _role_binding(sink: Sink) -> Manifest:
    name = child_name(sink.name)
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(sink),
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": sink.namespace}],
    }


def _network_policy(sink: Sink) -> Manifest:
    """Return a policy that lets only scrapers of metrics in. Kubelet's probes always pass; egress is not restricted."""
    scrapers = {"namespaceSelector": {"matchLabels": {LABEL_METRICS: METRICS_ALLOWED}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(sink),
        "spec": {
            "podSelector": {"matchLabels": sink_selector(sink.name)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [scrapers], "ports": [{"protocol": "TCP", "port": "http"}]}],
        },
    }


def _deployment(sink: Sink, spec: SinkSpec, feed: SinkFeed, image: str) -> Manifest:
    # Two processes at a time would both look after the same tables, or compute the same.
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(sink),
        "spec": {
            "replicas": 0 if spec.suspend else spec.replicas,
            "strategy": rolling if spec.redis is not None else {"type": "Recreate"},
            "minReadySeconds": 10,  # a pod with a wrong password is refused sooner, and then no former pod ends
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": sink_selector(sink.name)},
            "template": _template(sink, spec, feed, image),
        },
    }


def _template(sink: Sink, spec: SinkSpec, feed: SinkFeed, image: str) -> Manifest:
    files = _files(spec, feed)
    return {
        "metadata": {
            "labels": _labels(sink.name),
            "annotations": {"kubectl.kubernetes.io/default-container": SINK_CONTAINER},
        },
        "spec": {
            "serviceAccountName": child_name(sink.name),
            "automountServiceAccountToken": True,  # the process writes its report
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 20,  # to confirm the last batch and to commit it
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _UID,
                "runAsGroup": _UID,
                "fsGroup": _UID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **_placement(spec),
            "containers": [_container(sink, spec, feed, image, [mount for mount, _ in files])],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}, *(volume for _, volume in files)],
        },
    }


def _placement(spec: SinkSpec) -> Manifest:
    pod, fields = spec.pod, {}
    if pod.image_pull_secrets:
        fields["imagePullSecrets"] = _plain(pod.image_pull_secrets)
    if pod.node_selector:
        fields["nodeSelector"] = pod.node_selector
    if pod.tolerations:
        fields["tolerations"] = list(pod.tolerations)
    if pod.priority_class_name:
        fields["priorityClassName"] = pod.priority_class_name
    return fields


def _container(sink: Sink, spec: SinkSpec, feed: SinkFeed, image: str, mounts: list[Manifest]) -> Manifest:
    set_ = _plain(spec.pod.resources)
    resources = {kind: amounts | set_.get(kind, {}) for kind, amounts in _RESOURCES.items()}
    settings = SinkSettings(
        sink=sink.name,
        group=sink_group(sink.namespace, sink.name),
        # A change of these restarts no pod: the Deployment's replicas say them.
        spec=msgspec.structs.replace(spec, replicas=1, suspend=False),
        kafka=feed.kafka,
        extra_ca=feed.extra_ca,
    )
    return {
        "name": SINK_CONTAINER,
        "image": spec.pod.image or image,
        "imagePullPolicy": str(spec.pod.image_pull_policy),
        "ports": [{"name": "http", "containerPort": SINK_PORT, "protocol": "TCP"}],
        "env": [
            _from_field("POD_NAME", "metadata.name"),
            _from_field("POD_NAMESPACE", "metadata.namespace"),
            # Kubernetes expands $(NAME) in values, which a query may hold, and turns $$ into $.
            {"name": SETTINGS_VARIABLE, "value": msgspec.json.encode(settings).decode().replace("$", "$$")},
        ],
        "startupProbe": _probe("/healthz", period=1, timeout=3, failures=60),
        "livenessProbe": _probe("/healthz", period=10, timeout=5, failures=5),
        "readinessProbe": _probe("/readyz", period=2, timeout=2, failures=2),
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts],  # noqa: S108 - the pod's own volume
    }


def _files(spec: SinkSpec, feed: SinkFeed) -> list[tuple[Manifest, Manifest]]:
    """Return mount and volume of each Secret or ConfigMap.

    All of them are optional, so that the process can tell which one is missing. The kubelet brings changes within a
    minute or two.
    """
    kafka = feed.kafka
    secrets = {
        "kafka": (KAFKA_FOLDER, kafka.secret_ref.name if kafka.secret_ref else ""),
        "kafka-ca": (KAFKA_CA_FOLDER, kafka.ca_secret_ref.name if kafka.ca_secret_ref else ""),
        "destination": (DESTINATION_FOLDER, spec.password_secret.name if spec.password_secret else ""),
        "destination-ca": (DESTINATION_CA_FOLDER, spec.ca_secret.name if spec.ca_secret else ""),
    }
    optional: Manifest = {"optional": True, "defaultMode": 0o440}
    found = [
        (_mount(volume, folder), {"name": volume, "secret": optional | {"secretName": name}})
        for volume, (folder, name) in secrets.items()
        if name
    ]
    if feed.extra_ca is not None:
        config = optional | {"name": feed.extra_ca.name}
        found.append((_mount("extra-ca", EXTRA_CA_FOLDER), {"name": "extra-ca", "configMap": config}))
    return found


def _mount(volume: str, folder: str) -> Manifest:
    return {"name": volume, "mountPath": folder, "readOnly": True}


def _from_field(name: str, path: str) -> Manifest:
    # apiVersion is the API server's default. It is written out so that a second apply changes nothing.
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _probe(path: str, *, period: int, timeout: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
