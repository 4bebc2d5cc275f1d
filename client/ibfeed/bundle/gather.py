"""Asks the cluster for what belongs in a bundle. A part that cannot be had leaves its reason in its place."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from ibfeed.bundle.redact import Redactor, redactor
from ibfeed.cluster import Cluster
from ibfeed.cluster.connection import OURS
from ibfeed.cluster.kafka_access import secret_values
from ibfeed.errors import Error

_CORE: Final = "v1"
_LOG_LINES: Final = "2000"
_METRICS_PORT: Final = 8080
_OPERATOR: Final = "app.kubernetes.io/name=ibfeed,app.kubernetes.io/component=operator"
# Kinds in the feed's namespace: plural, API, and the labels of ours.
_KINDS: Final = (
    ("ibfeeds", OURS, ""),
    ("ibshards", OURS, ""),
    ("ibsinks", OURS, ""),
    ("pods", _CORE, "app.kubernetes.io/name=ibfeed"),
    ("statefulsets", "apps/v1", "app.kubernetes.io/name=ibfeed"),
    ("deployments", "apps/v1", "app.kubernetes.io/name=ibfeed"),
    ("leases", "coordination.k8s.io/v1", "app.kubernetes.io/name=ibfeed"),
    ("roles", "rbac.authorization.k8s.io/v1", "app.kubernetes.io/name=ibfeed"),
    ("resourcequotas", _CORE, ""),
    ("events", _CORE, ""),
)

Part = tuple[str, str]  # path in the bundle, and text


def make_redactor(cluster: Cluster) -> tuple[Redactor, str]:
    """Return the redactor, and why the Secrets could not be read; empty: they could.

    The Secrets' values are only looked for in what the bundle holds.
    """
    key = secrets.token_bytes(16)
    try:
        return redactor([_values(secret) for secret in cluster.items("secrets", api=_CORE)], key), ""
    except Error as error:
        return redactor([], key), str(error)


def _values(secret: dict[str, Any]) -> dict[str, str]:
    try:
        return secret_values(secret)
    except UnicodeDecodeError:  # no text can hold it
        return {}


def parts(cluster: Cluster, operator_namespace: str, redact: Redactor) -> Iterator[Part]:
    """Yield the parts of a bundle: objects, events, logs, metrics. Nothing leaves this function unredacted."""
    yield "version.json", _json(redact, lambda: cluster.call("GET", "/version"))
    for plural in ("ibfeeds", "ibshards", "ibsinks"):
        yield f"crds/{plural}.json", _json(redact, partial(_definition, cluster, f"{plural}.ibfeed.dev"))
    for plural, api, labels in _KINDS:
        yield f"objects/{plural}.json", _items(cluster, redact, plural, api, labels, cluster.namespace)
    for plural, api in (("deployments", "apps/v1"), ("pods", _CORE), ("leases", "coordination.k8s.io/v1")):
        labels = "" if plural == "leases" else _OPERATOR
        yield f"operator/{plural}.json", _items(cluster, redact, plural, api, labels, operator_namespace)
    yield from _pods(cluster, redact, operator_namespace, _OPERATOR)
    yield from _pods(cluster, redact, cluster.namespace, "app.kubernetes.io/name=ibfeed")


def _definition(cluster: Cluster, name: str) -> Any:
    found = cluster.get("customresourcedefinitions", name, api="apiextensions.k8s.io/v1", namespace="")
    versions = [version["name"] for version in found["spec"]["versions"]]
    return {"name": name, "versions": versions, "status": found.get("status")}


def _items(cluster: Cluster, redact: Redactor, plural: str, api: str, labels: str, namespace: str) -> str:
    return _json(redact, lambda: cluster.items(plural, api=api, labels=labels, namespace=namespace))


def _pods(cluster: Cluster, redact: Redactor, namespace: str, labels: str) -> Iterator[Part]:
    """Yield the logs of pods' containers, also of those that ended, and their metrics."""
    try:
        pods = cluster.items("pods", api=_CORE, labels=labels, namespace=namespace)
    except Error:  # the part with the pods says why
        return
    for pod in pods:
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        query = {"tailLines": _LOG_LINES, "timestamps": "true"}
        yield f"logs/{namespace}/{name}.log", _text(redact, partial(cluster.text, f"{path}/log", query=query))
        statuses = pod.get("status", {}).get("containerStatuses") or ()
        if any(status.get("restartCount") for status in statuses):
            before = partial(cluster.text, f"{path}/log", query={**query, "previous": "true"})
            yield f"logs/{namespace}/{name}.previous.log", _text(redact, before)
        proxy = f"/api/v1/namespaces/{namespace}/pods/{name}:{_METRICS_PORT}/proxy/metrics"
        yield f"metrics/{namespace}/{name}.txt", _text(redact, partial(cluster.text, proxy))


def _json(redact: Redactor, ask: Callable[[], Any]) -> str:
    try:
        return json.dumps(redact.document(ask()), indent=1, sort_keys=True) + "\n"
    except Error as error:
        return json.dumps({"not collected": redact.text(str(error))}) + "\n"


def _text(redact: Redactor, ask: Callable[[], str]) -> str:
    try:
        return redact.text(ask())
    except Error as error:
        return f"not collected: {redact.text(str(error))}\n"
