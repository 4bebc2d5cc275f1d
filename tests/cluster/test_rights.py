"""Rights on the real API server: the operator may make what it builds, a worker may touch only what is its own.

The operator's own rights are tried out by impersonation, so that this needs no operator at work. What is made has no
owner here (the garbage collector would look for it at once) and goes with its namespace.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml
from pykube.http import HTTPClient

from ibfeed_api.feed import FeedSpec
from ibfeed_api.shard import ShardSpec
from ibfeed_api.sink import SinkSpec
from ibfeed_operator import resources
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources import Manifest
from ibfeed_operator.sinks.model import Sink
from ibfeed_operator.sinks.resources import sink_children
from support.cluster import ROOT, client, eventually, kubectl
from support.ibsinks import KAFKA, REDIS
from support.ibsinks import feed as sink_feed

NAMESPACE = f"ibfeed-test-rights-{uuid.uuid4().hex[:8]}"
OPERATOR = "system:serviceaccount:ibfeed-system:ibfeed-operator"
SINK_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:latest-sink"
WORKER = f"system:serviceaccount:{NAMESPACE}:energy-worker"

FEED = Feed(
    namespace=NAMESPACE,
    name="energy",
    uid=str(uuid.uuid4()),
    generation=1,
    spec=msgspec.convert(
        {
            "roots": [{"symbol": "CL"}],
            "workers": 2,
            "accounts": {"secretRef": {"name": "ib-paper-accounts"}, "count": 3},
            "kafka": {
                "bootstrapServers": "kafka:9092",
                "securityProtocol": "SASL_SSL",
                "saslMechanism": "PLAIN",
                "secretRef": {"name": "kafka"},
            },
            "extraCA": {"name": "proxy-ca"},
        },
        FeedSpec,
    ),
)


def orphan(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "ownerReferences"}
    return manifest | {"metadata": metadata}


CHILDREN = {
    child["kind"]: orphan(child)
    for child in resources.children(
        FEED,
        image="ibfeed/worker",
        operator_namespace="ibfeed-system",
        replicas=0,  # no pod is to come of it
        shards=("energy-0", "energy-1"),
    )
}
SINK = Sink(
    namespace=NAMESPACE,
    name="latest",
    uid=str(uuid.uuid4()),
    generation=1,
    resource_version="1",
    spec=msgspec.convert(REDIS | {"suspend": True}, SinkSpec),  # no pod is to come of it
)
assert SINK.spec is not None
SINK_CHILDREN = {
    child["kind"]: orphan(child)
    for child in sink_children(SINK, SINK.spec, sink_feed(**KAFKA), image="ibfeed/platform")
}
SHARD = orphan(resources.shard(FEED, ShardSpec(feed="energy", worker=0)))
LEASE = resources.account_lease(NAMESPACE, FEED.spec.accounts, 1)


@pytest.fixture(scope="module", autouse=True)
def _namespace() -> Iterator[None]:
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    for name in ("namespace", "rbac"):
        kubectl("apply", "-f", str(ROOT / "manifests" / "operator" / f"{name}.yaml"))
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    yield
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def api() -> HTTPClient:
    return client()


def plural(manifest: Manifest) -> str:
    kind = manifest["kind"].lower()
    return {"networkpolicy": "networkpolicies"}.get(kind, f"{kind}s")


def as_operator(api: HTTPClient, method: str, manifest: Manifest, name: str, content_type: str) -> dict[str, Any]:
    response = getattr(api, method)(
        version=manifest["apiVersion"],
        namespace=NAMESPACE,
        url=f"{plural(manifest)}{name}",
        data=json.dumps(manifest),
        params={"fieldManager": "ibfeed-operator", "fieldValidation": "Strict"}
        | ({"force": "true"} if "apply" in content_type else {}),
        headers={"Impersonate-User": OPERATOR, "Content-Type": content_type},
    )
    answer: dict[str, Any] = response.json()
    assert response.status_code < 300, answer
    return answer


def apply(api: HTTPClient, manifest: Manifest) -> dict[str, Any]:
    return as_operator(api, "patch", manifest, f"/{manifest['metadata']['name']}", "application/apply-patch+yaml")


def create(api: HTTPClient, manifest: Manifest) -> dict[str, Any]:
    return as_operator(api, "post", manifest, "", "application/json")


@pytest.fixture(scope="module")
def made(api: HTTPClient) -> None:
    """By one who has the operator's rights and no others; a Role can be granted only by who holds what is in it."""
    eventually(lambda: may(OPERATOR, "create", "rolebindings"), within=10, what="the API server knows of the rights")
    for child in (*CHILDREN.values(), *SINK_CHILDREN.values()):
        apply(api, child)
    create(api, SHARD)
    create(api, LEASE)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("kind", CHILDREN)
def test_applying_again_changes_nothing(api: HTTPClient, kind: str) -> None:
    first = apply(api, CHILDREN[kind])
    again = apply(api, CHILDREN[kind])
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("kind", SINK_CHILDREN)
def test_applying_a_sink_again_changes_nothing(api: HTTPClient, kind: str) -> None:
    first = apply(api, SINK_CHILDREN[kind])
    again = apply(api, SINK_CHILDREN[kind])
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.usefixtures("made")
def test_a_sink_s_process_may_tell_of_itself_and_nothing_else() -> None:
    assert may(SINK_ACCOUNT, "patch", "ibsinks/latest", "status")
    for verb, what, subresource in [
        ("patch", "ibsinks/latest", ""),
        ("patch", "ibsinks/another", "status"),
        ("get", "ibsinks/latest", ""),
        ("list", "secrets", ""),
        ("get", "secrets/kafka-user", ""),
        ("get", "ibfeeds/energy", ""),
    ]:
        assert not may(SINK_ACCOUNT, verb, what, subresource), (verb, what, subresource)


@pytest.mark.usefixtures("made")
def test_a_sink_s_pod_is_restricted() -> None:
    template = SINK_CHILDREN["Deployment"]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod"} | template
    pod["metadata"] = {"name": "latest-sink-a", "namespace": NAMESPACE} | template["metadata"]
    assert "created" in kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def may(who: str, verb: str, what: str, subresource: str = "") -> bool:
    words = ["auth", "can-i", verb, what, "-n", NAMESPACE, f"--as={who}"]
    answer = kubectl(*words, *([f"--subresource={subresource}"] if subresource else []), check=False)
    return "yes" in answer.split()


ALLOWED = [
    ("get", "ibshards/energy-0", ""),
    ("watch", "ibshards/energy-1", ""),
    ("patch", "ibshards/energy-0", "status"),
    ("update", "leases/ib-account-ib-paper-accounts-3", ""),
    ("get", "secrets/ib-paper-accounts", ""),
    ("get", "secrets/kafka", ""),
]
FORBIDDEN = [
    ("patch", "ibshards/energy-0", ""),  # the spec is the operator's
    ("get", "ibshards/equity-0", ""),
    ("list", "ibshards", ""),
    ("update", "leases/ib-account-ib-paper-accounts-4", ""),
    ("create", "leases", ""),
    ("delete", "leases/ib-account-ib-paper-accounts-3", ""),
    ("get", "secrets/another", ""),
    ("list", "secrets", ""),
    ("get", "ibfeeds/energy", ""),
    ("get", "pods", ""),
    ("create", "events", ""),
]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("verb", "what", "subresource"), ALLOWED)
def test_a_worker_may(verb: str, what: str, subresource: str) -> None:
    assert may(WORKER, verb, what, subresource)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("verb", "what", "subresource"), FORBIDDEN)
def test_a_worker_may_not(verb: str, what: str, subresource: str) -> None:
    assert not may(WORKER, verb, what, subresource)


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("list", "secrets"),
        ("patch", "ibfeeds"),
        ("delete", "ibfeeds"),
        ("delete", "statefulsets"),
        ("patch", "ibsinks"),
        ("delete", "deployments"),
        ("create", "pods"),
        ("escalate", "roles"),
        ("bind", "roles"),
        ("create", "clusterrolebindings"),
        ("impersonate", "users"),
    ],
)
def test_the_operator_may_not(verb: str, what: str) -> None:
    assert not may(OPERATOR, verb, what)


def test_the_operator_s_own_role_is_enough_to_elect_a_leader_and_for_nothing_else() -> None:
    """Tried by one who has that Role alone, since the operator's rights to the accounts' Leases cover it, too."""
    someone, where = f"elector-{NAMESPACE}", ["-n", "ibfeed-system"]
    kubectl("create", "rolebinding", someone, "--role=ibfeed-operator", f"--user={someone}", *where)
    try:
        wanted = {
            ("get", "leases/ibfeed-operator"): "yes",
            ("patch", "leases/ibfeed-operator"): "yes",
            ("create", "leases"): "yes",
            ("delete", "leases/ibfeed-operator"): "no",
            ("get", "leases/another"): "no",
            ("patch", "leases/another"): "no",
            ("list", "leases"): "no",
            ("get", "secrets/another"): "no",
        }

        def answers() -> dict[tuple[str, str], str]:
            asked = {key: kubectl("auth", "can-i", *key, *where, f"--as={someone}", check=False) for key in wanted}
            return {key: "yes" if "yes" in answer.split() else "no" for key, answer in asked.items()}

        eventually(lambda: answers() == wanted, within=10, what=f"the Role gives {wanted}")
    finally:
        kubectl("delete", "rolebinding", someone, *where)


@pytest.mark.usefixtures("made")
def test_a_worker_s_pod_is_restricted() -> None:
    """Pod Security `restricted` is enforced on this namespace, so a dry run of the pod is judged by it."""
    template = CHILDREN["StatefulSet"]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod"} | template
    pod["metadata"] = {"name": "energy-0", "namespace": NAMESPACE} | template["metadata"]
    assert "created" in kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def test_the_operator_s_pod_is_restricted() -> None:
    rendered = kubectl("kustomize", str(ROOT / "manifests" / "operator"))
    done = kubectl("apply", "--dry-run=server", "-f", "-", stdin=rendered)
    assert "deployment.apps/ibfeed-operator" in done
    (template,) = (m["spec"]["template"] for m in yaml.safe_load_all(rendered) if m["kind"] == "Deployment")
    pod = {"apiVersion": "v1", "kind": "Pod"} | template
    pod["metadata"] = {"name": "try", "namespace": "ibfeed-system"} | template["metadata"]
    assert "created" in kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
