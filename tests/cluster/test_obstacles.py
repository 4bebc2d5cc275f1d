"""Pods that do not come: Ready says why within seconds, with what to do, and stops when they come.

Each feed is in a namespace of its own, so that a quota or a policy meets nobody else. It never logs in: its accounts'
Secret is not there.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.cluster import condition, eventually, kubectl, read
from support.figures import Figures

pytestmark = pytest.mark.timeout(400)

QUOTED_WITHIN_S = 15.0


class Namespace:
    def __init__(self) -> None:
        self.name = f"ibfeed-test-obstacles-{uuid.uuid4().hex[:8]}"
        kubectl("create", "namespace", self.name)

    def apply(self, kind: str, name: str, spec: dict[str, Any], version: str = "v1") -> None:
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": self.name}, "spec": spec}
        kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def feed(self, name: str = "energy", **spec: Any) -> None:
        self.apply(
            "IbFeed",
            name,
            {
                "roots": [{"symbol": "CL"}],
                "workers": 1,
                "accounts": {"secretRef": {"name": "none"}},
                "kafka": {"bootstrapServers": "kafka:9092"},
            }
            | spec,
            "ibfeed.dev/v1alpha1",
        )

    def ready(self, name: str = "energy") -> dict[str, Any]:
        return condition(read("ibfeed", name, self.name), "Ready")

    def says(self, *words: str, within: float, name: str = "energy") -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            ready = self.ready(name)
            return ready if all(word in ready.get("message", "") for word in words) else None

        try:
            return eventually(found, within=within, what=f"Ready says {words}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.ready(name)}") from None

    def has_pod(self) -> bool:
        return bool(read("pod", "energy-0", self.name))


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    namespace = Namespace()
    yield namespace
    kubectl("delete", "ibfeeds", "--all", "-n", namespace.name, "--wait=false")
    eventually(lambda: not namespace.has_pod(), within=60, what="the worker's pod is gone")
    kubectl("delete", "namespace", namespace.name, "--wait=false")


def quota(namespace: Namespace) -> None:
    namespace.apply("ResourceQuota", "small", {"hard": {"limits.memory": "1Gi"}})
    eventually(
        lambda: read("resourcequota", "small", namespace.name).get("status", {}).get("hard"),
        within=20,
        what="the quota is in force",
    )


def limit_range(namespace: Namespace) -> None:
    namespace.apply("LimitRange", "small", {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]})


@pytest.mark.parametrize(
    ("kind", "forbid", "words"),
    [
        ("resourcequota", quota, ("exceeded quota: small", "raise the ResourceQuota")),
        ("limitrange", limit_range, ("maximum memory usage per Container is 1Gi", "LimitRange allows")),
    ],
)
def test_refused_pod_is_quoted_until_it_comes(
    namespace: Namespace, figures: Figures, kind: str, forbid: Callable[[Namespace], None], words: tuple[str, str]
) -> None:
    forbid(namespace)
    begun = time.monotonic()
    namespace.feed()
    ready = namespace.says("energy-0: the API server refuses its pod", *words, within=QUOTED_WITHIN_S)
    figures.record(f"refused by {kind}, until Ready says why", time.monotonic() - begun, bar=QUOTED_WITHIN_S)
    assert (ready["status"], ready["reason"]) == ("False", "PodRefused")
    kubectl("delete", kind, "small", "-n", namespace.name)
    eventually(namespace.has_pod, within=75, what="the pod is created")
    eventually(lambda: "refuses" not in namespace.ready()["message"], within=15, what="Ready no longer says so")


def test_pod_that_pod_security_refuses_is_quoted(namespace: Namespace, figures: Figures) -> None:
    """Our template keeps to `restricted`. Somebody else adds to it, and the StatefulSet's pods are refused."""
    namespace.feed()
    eventually(namespace.has_pod, within=30, what="the pod is created")
    kubectl("label", "namespace", namespace.name, "pod-security.kubernetes.io/enforce=restricted")
    patch = {"spec": {"template": {"spec": {"hostNetwork": True}}}}
    kubectl("patch", "statefulset", "energy", "-n", namespace.name, "-p", json.dumps(patch))
    eventually(lambda: not namespace.has_pod(), within=90, what="the old pod is gone")
    begun = time.monotonic()
    words = ("violates PodSecurity", "host namespaces", "remove what a person")
    assert namespace.says(*words, within=QUOTED_WITHIN_S)["reason"] == "PodRefused"
    figures.record("refused by PodSecurity, until Ready says why", time.monotonic() - begun, bar=QUOTED_WITHIN_S)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"worker": {"nodeSelector": {"pool": "nowhere"}}}, ("Unschedulable", "make room on a node")),
        (
            {"worker": {"image": "docker.io/ibfeed/nobody-made-this:1", "imagePullPolicy": "Always"}},
            ("nobody-made-this", "check spec.worker.image"),
        ),
        (
            {"worker": {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "nobody", "key": "k"}}}]}},
            ("CreateContainerConfigError", 'secret "nobody" not found', "make the Secret or ConfigMap"),
        ),
        ({"extraCA": {"name": "nobody-made-this"}}, ("FailedMount", 'configmap "nobody-made-this" not found')),
        ({"worker": {"priorityClassName": "nobody"}}, ("no PriorityClass with name nobody", "spec.worker.priority")),
    ],
    ids=["unschedulable", "image", "secret of a variable", "configmap of extraCA", "priority class"],
)
def test_pod_that_cannot_start_says_why(namespace: Namespace, spec: dict[str, Any], words: tuple[str, ...]) -> None:
    namespace.feed(**spec)
    ready = namespace.says(*words, within=30)
    assert ready["status"] == "False"


def test_mended_template_replaces_a_pod_that_cannot_start(namespace: Namespace) -> None:
    namespace.feed(worker={"image": "docker.io/ibfeed/nobody-made-this:1", "imagePullPolicy": "Never"})
    namespace.says("ErrImageNeverPull", within=30)
    uid = read("pod", "energy-0", namespace.name)["metadata"]["uid"]
    namespace.feed()
    eventually(
        lambda: read("pod", "energy-0", namespace.name).get("metadata", {}).get("uid", uid) != uid,
        within=60,
        what="the pod is made again",
    )
    eventually(
        lambda: "does not run" not in namespace.ready()["message"], within=60, what="its container runs the good image"
    )
    assert "image" not in read("ibfeed", "energy", namespace.name)["status"]["shards"][0]
