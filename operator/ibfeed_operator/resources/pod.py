"""Builds the pod template of the workers, as described in docs/architecture/worker-pod.md."""

from __future__ import annotations

import msgspec

from ibfeed_api.feed import ConfigMapKey, FeedSpec, Recording
from ibfeed_api.worker_pod import WORKER_CONTAINER, WORKER_PORT
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.metadata import Manifest, labels, selector, worker_account_name
from ibfeed_operator.resources.overrides import overridden

_UID = 10001
_CA_PATH = "/etc/ibfeed/ca"
_RECORDING_PATH = "/var/lib/ibfeed/recording"
_WORKLOAD_IDENTITY_LABEL = "azure.workload.identity/use"
# Not the volume name and path of Azure's webhook, so that both can be there. The webhook leaves a set variable alone.
_FEDERATED_TOKEN_PATH = "/var/run/secrets/ibfeed/azure"
_FEDERATED_TOKEN_AUDIENCE = "api://AzureADTokenExchange"


def pod_template(feed: Feed, image: str) -> Manifest:
    """Return the pod template of a feed's workers.

    A change of it restarts them, so it holds only the settings that a worker needs at its start. ``image``: the
    operator's image, for a feed that names none of its own.
    """
    return overridden(_template(feed, feed.spec.worker.image or image), feed)


def _template(feed: Feed, image: str) -> Manifest:
    spec = feed.spec
    pod_labels = labels(feed.name)
    if spec.accounts.key_vault is not None:
        # Azure's webhook gives the pod a federated token only if the pod itself asks for it.
        pod_labels[_WORKLOAD_IDENTITY_LABEL] = "true"
    return {
        "metadata": {
            "labels": pod_labels,
            "annotations": {"kubectl.kubernetes.io/default-container": WORKER_CONTAINER},
        },
        "spec": {
            "serviceAccountName": worker_account_name(feed.name),
            "automountServiceAccountToken": True,  # the worker reads its shard and holds its account's Lease
            "enableServiceLinks": False,
            # Hand the contracts over (15 s at most), release the rest, flush, log out, free the Lease.
            "terminationGracePeriodSeconds": 45,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _UID,
                "runAsGroup": _UID,
                "fsGroup": _UID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",  # a cluster of one node is fine
                    "labelSelector": {"matchLabels": selector(feed.name)},
                }
            ],
            "containers": [_container(feed, image)],
            "volumes": [
                {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},  # the gateway's folder and logs, Chromium's profile
                *_ca_volume(spec.extra_ca),
                *([_federated_token_volume()] if _federated(spec) else []),
                *_recording_volume(spec.recording),
            ],
        },
    }


def _container(feed: Feed, image: str) -> Manifest:
    return {
        "name": WORKER_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": WORKER_PORT, "protocol": "TCP"}],
        "env": _environment(feed.name, feed.spec),
        # Time for Python, its imports and a cold page cache. It is generous, since liveness counts only after it.
        "startupProbe": _probe("/healthz", period=1, timeout=3, failures=90),
        # 50 s, so that a busy node does not look like a hung process.
        "livenessProbe": _probe("/healthz", period=10, timeout=5, failures=5),
        "readinessProbe": _probe("/readyz", period=2, timeout=2, failures=2),
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own volume
            *([{"name": "ca", "mountPath": _CA_PATH, "readOnly": True}] if feed.spec.extra_ca else []),
            *(
                [{"name": "federated-token", "mountPath": _FEDERATED_TOKEN_PATH, "readOnly": True}]
                if _federated(feed.spec)
                else []
            ),
            *([{"name": "recording", "mountPath": _RECORDING_PATH}] if feed.spec.recording else []),
        ],
    }


def _environment(feed: str, spec: FeedSpec) -> list[Manifest]:
    settings = msgspec.json.encode(spec.for_worker).decode()
    variables: list[Manifest] = [
        _from_field("POD_NAME", "metadata.name"),
        _from_field("POD_NAMESPACE", "metadata.namespace"),
        _from_field("POD_UID", "metadata.uid"),
        _from_field("NODE_NAME", "spec.nodeName"),
        {"name": "IBFEED_FEED", "value": feed},
        {"name": "IBFEED_SPEC", "value": _literal(settings)},
        {"name": "KAFKA_BOOTSTRAP_SERVERS", "value": spec.kafka.bootstrap_servers},
        _from_field("KAFKA_CLIENT_ID", "metadata.name"),
        {"name": "KAFKA_LINGER_MS", "value": str(spec.kafka.linger_ms)},
        {"name": "KAFKA_BATCH_SIZE", "value": str(spec.kafka.batch_size)},
    ]
    if spec.extra_ca is not None:
        variables.append({"name": "IBFEED_EXTRA_CA", "value": f"{_CA_PATH}/{spec.extra_ca.key}"})
    if _federated(spec):
        variables.append({"name": "AZURE_FEDERATED_TOKEN_FILE", "value": f"{_FEDERATED_TOKEN_PATH}/token"})
    if spec.recording is not None:
        variables.append({"name": "IBFEED_RECORDING_DIR", "value": _RECORDING_PATH})
        variables.append({"name": "IBFEED_RECORDING_GIB", "value": str(spec.recording.size_limit_gib)})
    return variables


def _from_field(name: str, path: str) -> Manifest:
    # apiVersion is the API server's default. It is written out so that a second apply changes nothing.
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _literal(text: str) -> str:
    """Return ``text`` escaped for the value of a variable.

    Kubernetes expands ``$(NAME)`` in values and turns ``$$`` into ``$``. A CSS selector may have either.
    """
    return text.replace("$", "$$")


def _probe(path: str, *, period: int, timeout: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _ca_volume(ca: ConfigMapKey | None) -> list[Manifest]:
    if ca is None:
        return []
    return [{"name": "ca", "configMap": {"name": ca.name, "items": [{"key": ca.key, "path": ca.key}]}}]


def _recording_volume(recording: Recording | None) -> list[Manifest]:
    if recording is None:
        return []
    if recording.claim_name is not None:
        return [{"name": "recording", "persistentVolumeClaim": {"claimName": recording.claim_name}}]
    # One more than the worker writes: the kubelet evicts a pod whose volume grows beyond its limit.
    return [{"name": "recording", "emptyDir": {"sizeLimit": f"{recording.size_limit_gib + 1}Gi"}}]


def _federated(spec: FeedSpec) -> bool:
    """Whether tenant and client are given. Then workload identity needs no webhook: the kubelet makes the token."""
    vault = spec.accounts.key_vault
    return vault is not None and bool(vault.tenant_id and vault.client_id)


def _federated_token_volume() -> Manifest:
    token = {"audience": _FEDERATED_TOKEN_AUDIENCE, "expirationSeconds": 3600, "path": "token"}
    return {"name": "federated-token", "projected": {"sources": [{"serviceAccountToken": token}]}}
