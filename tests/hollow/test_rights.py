"""Rights on a real API server: each account may do what it is for, and is refused all else.

The control plane has the manifests as `kubectl apply -k` makes them, and the objects of a feed and a sink as the
operator makes them: by impersonation, so that they come about by the operator's rights and no others. It has the
controller that aggregates ClusterRoles, and no nodes.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import yaml
from pykube.config import KubeConfig
from pykube.http import HTTPClient

from ibfeed_api.feed import FeedSpec
from ibfeed_api.shard import ShardSpec
from ibfeed_api.sink import SinkSpec
from ibfeed_operator import resources
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources import Manifest
from ibfeed_operator.sinks.model import Sink
from ibfeed_operator.sinks.resources import sink_children
from support.cluster import ROOT, eventually
from support.control_plane import ADMIN, KUBE, OPERATOR, ControlPlane
from support.hollow_feed import hollow_plane
from support.ibsinks import KAFKA, REDIS
from support.ibsinks import feed as sink_feed
from support.rights import may

NAMESPACE = "market"
ELSEWHERE = "another"
SYSTEM = "ibfeed-system"
SINK_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:latest-sink"
WORKER = f"system:serviceaccount:{NAMESPACE}:energy-worker"
ELECTOR = "elector"  # has the operator's Role in its own namespace, and nothing else
# The tests' client takes the API server's certificate as it is.
pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
KINDS = ("ibfeeds", "ibshards", "ibsinks")
ROLES = ("view", "edit", "admin", "ibfeed-view", "ibfeed-edit")

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


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    aggregation = {"kube_controller_manager": ["--controllers=clusterrole-aggregation-controller"]}
    with hollow_plane(tmp_path_factory.mktemp("control-plane"), **aggregation) as plane:
        plane.kubectl("apply", "-k", str(ROOT / "manifests" / "operator"))
        people = [_bound(role, "ClusterRole", role, NAMESPACE) for role in ROLES]
        people.append(_bound(ELECTOR, "Role", "ibfeed-operator", SYSTEM))
        objects = plane.directory / "people.yaml"
        objects.write_text(yaml.safe_dump_all([*map(_restricted, (NAMESPACE, ELSEWHERE)), *people]))
        plane.kubectl("apply", "-f", str(objects))
        yield plane


def _restricted(namespace: str) -> Manifest:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}


def _bound(user: str, kind: str, role: str, namespace: str) -> Manifest:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": user, "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": kind, "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }


@pytest.fixture(scope="module")
def api(plane: ControlPlane) -> HTTPClient:
    return HTTPClient(KubeConfig.from_file(str(plane.kubeconfig(ADMIN))), timeout=10)


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
    eventually(
        lambda: may(api, OPERATOR, "create roles", NAMESPACE), within=10, what="the API server knows of the rights"
    )
    for child in (*CHILDREN.values(), *SINK_CHILDREN.values()):
        apply(api, child)
    create(api, SHARD)
    create(api, LEASE)
    eventually(
        lambda: may(api, WORKER, "get secrets/kafka", NAMESPACE), within=10, what="the API server knows of the worker"
    )
    eventually(
        lambda: may(api, SINK_ACCOUNT, "patch ibsinks/status/latest", NAMESPACE), within=10, what="and of the sink"
    )
    eventually(lambda: may(api, "admin", "patch ibfeeds", NAMESPACE), within=30, what="the roles are aggregated")


@dataclass(frozen=True)
class Account:
    """What one account may do, and what it must not do; in `NAMESPACE`, but for what follows an `in`."""

    name: str
    allowed: tuple[str, ...]
    denied: tuple[str, ...]


ACCOUNTS = (
    Account(
        OPERATOR,
        (
            *("list ibfeeds", "patch ibfeeds/status", "create ibshards", "patch ibsinks/status"),
            *("create leases", "delete leases", "delete pods", "create roles", "patch statefulsets"),
        ),
        (
            # What people wrote is theirs.
            *("create ibfeeds", "patch ibfeeds", "update ibfeeds", "delete ibfeeds", "patch ibfeeds/scale"),
            *("create ibsinks", "patch ibsinks", "delete ibsinks", "deletecollection ibfeeds"),
            # Secrets: it may read one by name, because it grants that. It may not look for them, and writes none.
            *("list secrets", "watch secrets", "create secrets", "patch secrets", "update secrets", "delete secrets"),
            *("get configmaps", "list configmaps", "create configmaps"),
            # Programs run by its StatefulSets and Deployments only, and by no shell in a pod.
            *("create pods", "patch pods", "create pods/exec", "create pods/portforward", "get pods/log"),
            *("patch pods/ephemeralcontainers", "create jobs", "create daemonsets", "create replicasets"),
            *("delete statefulsets", "delete deployments", "delete services", "delete serviceaccounts"),
            *("delete networkpolicies", "delete poddisruptionbudgets", "delete persistentvolumeclaims"),
            # No way to more rights.
            *("escalate roles", "bind roles", "escalate clusterroles", "bind clusterroles", "delete roles"),
            *("create clusterroles", "patch clusterroles", "create clusterrolebindings", "impersonate users"),
            *("impersonate groups", "impersonate serviceaccounts", "create serviceaccounts/token"),
            *("create certificatesigningrequests", "create mutatingwebhookconfigurations"),
            *("patch customresourcedefinitions", "create namespaces", "patch namespaces", "list nodes", "patch nodes"),
        ),
    ),
    Account(
        ELECTOR,
        (f"get leases/ibfeed-operator in {SYSTEM}", f"patch leases/ibfeed-operator in {SYSTEM}"),
        (
            *(f"delete leases/ibfeed-operator in {SYSTEM}", f"get leases/other in {SYSTEM}"),
            *(f"patch leases/other in {SYSTEM}", f"list leases in {SYSTEM}", f"get secrets/other in {SYSTEM}"),
            *("get leases/ibfeed-operator", "create leases"),
        ),
    ),
    Account(
        WORKER,
        (
            *("list ibshards/energy-0", "watch ibshards/energy-1", "patch ibshards/status/energy-0"),
            *("patch leases/ib-account-ib-paper-accounts-3", "get secrets/ib-paper-accounts", "get secrets/kafka"),
        ),
        (
            *("patch ibshards/energy-0", "get ibshards/equity-0", "patch ibshards/status/equity-0", "list ibshards"),
            *("create ibshards", "delete ibshards/energy-0", "get ibfeeds/energy", "patch ibfeeds/status/energy"),
            *("patch ibsinks/status/latest", "patch leases/ib-account-ib-paper-accounts-4", "create leases"),
            *("delete leases/ib-account-ib-paper-accounts-3", "list leases", "get secrets/another", "list secrets"),
            *("patch secrets/kafka", "get pods", "create pods", "create pods/exec", "create events", "get configmaps"),
            *("create serviceaccounts/token/energy-worker", "patch roles", f"get secrets/kafka in {ELSEWHERE}"),
            *(f"get ibshards/energy-0 in {ELSEWHERE}", f"get leases/ibfeed-operator in {SYSTEM}"),
        ),
    ),
    Account(
        SINK_ACCOUNT,
        ("patch ibsinks/status/latest",),
        (
            *("patch ibsinks/latest", "patch ibsinks/status/another", "get ibsinks/latest", "delete ibsinks/latest"),
            *("list secrets", "get secrets/kafka-user", "get secrets/kafka", "get ibfeeds/energy", "get leases"),
            *("get ibshards/energy-0", "get pods", "create pods", f"patch ibsinks/status/latest in {ELSEWHERE}"),
        ),
    ),
    *(
        Account(
            role,
            tuple(f"{verb} {kind}" for kind in KINDS for verb in ("get", "list", "watch")),
            (
                *(
                    f"{verb} {kind}"
                    for kind in ("ibfeeds", "ibshards", "ibsinks")
                    for verb in ("create", "patch", "delete")
                ),
                *("patch ibfeeds/status", "patch ibshards/status", "patch ibsinks/status", "patch ibfeeds/scale"),
                *(
                    "get secrets",
                    "create pods",
                    f"get ibfeeds in {ELSEWHERE}",
                    f"get leases/ibfeed-operator in {SYSTEM}",
                ),
            ),
        )
        for role in ("view", "ibfeed-view")
    ),
    *(
        Account(
            role,
            (
                *("create ibfeeds", "patch ibfeeds", "delete ibfeeds", "update ibfeeds/scale", "patch ibshards"),
                *("create ibsinks", "delete ibsinks", "update ibsinks/scale"),
            ),
            (
                *("patch ibfeeds/status", "update ibfeeds/status", "patch ibshards/status", "update ibshards/status"),
                *("patch ibsinks/status", "update ibsinks/status", "create ibshards", "delete ibshards"),
                *(f"create ibfeeds in {ELSEWHERE}", f"patch ibsinks in {ELSEWHERE}", f"get secrets in {SYSTEM}"),
                *("create clusterrolebindings", "patch customresourcedefinitions"),
            ),
        )
        for role in ("edit", "admin", "ibfeed-edit")
    ),
    Account("ibfeed-edit", (), ("get secrets", "create pods", "create pods/exec", "create rolebindings")),
    Account("anyone", (), ("get ibfeeds", "list ibshards", "get ibsinks", "get secrets", "create ibfeeds")),
)
ASKED = [(account.name, act) for account in ACCOUNTS for act in account.allowed]
REFUSED = [(account.name, act) for account in ACCOUNTS for act in account.denied]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("who", "act"), ASKED)
def test_account_may(api: HTTPClient, who: str, act: str) -> None:
    what, _, namespace = act.partition(" in ")
    assert may(api, who, what, namespace or NAMESPACE)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("who", "act"), REFUSED)
def test_account_may_not(api: HTTPClient, who: str, act: str) -> None:
    what, _, namespace = act.partition(" in ")
    assert not may(api, who, what, namespace or NAMESPACE)


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
def test_operator_grants_no_more_than_it_has(api: HTTPClient) -> None:
    """The way by which an operator that someone has taken over could give itself rights."""
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "more", "namespace": NAMESPACE},
        "rules": rules,
    }
    response = api.post(
        version=role["apiVersion"],
        namespace=NAMESPACE,
        url="roles",
        data=json.dumps(role),
        headers={"Impersonate-User": OPERATOR},
    )
    assert response.status_code == 403
    assert "is attempting to grant RBAC permissions not currently held" in response.json()["message"]


def pods_of_ours() -> dict[str, Manifest]:
    """Return a pod of each template, in the namespace in which it would run."""
    rendered = [
        item
        for part in ("operator", "simulator")
        for item in yaml.safe_load_all(
            subprocess.run(
                [str(KUBE), "kubectl", "kustomize", str(ROOT / "manifests" / part)],
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
            ).stdout
        )
        if item["kind"] == "Deployment"
    ]
    made = {"worker": CHILDREN["StatefulSet"], "sink": SINK_CHILDREN["Deployment"]}
    workloads = made | {item["metadata"]["name"]: item for item in rendered}
    return {
        name: {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "try", "namespace": item["metadata"]["namespace"]},
            "spec": item["spec"]["template"]["spec"] | {"serviceAccountName": "try"},
        }
        for name, item in workloads.items()
    }


@pytest.mark.parametrize("name", ["worker", "sink", "ibfeed-operator", "venue", "vault"])
def test_pod_is_restricted(api: HTTPClient, name: str) -> None:
    """Pod Security `restricted` is enforced on these namespaces, so a dry run of the pod is judged by it."""
    pod = pods_of_ours()[name]
    namespace = pod["metadata"]["namespace"]
    _with_account(api, namespace)
    assert _tried(api, pod) == ""
    loosened: tuple[Manifest, ...] = ({"hostNetwork": True}, {"securityContext": {}})
    for lax in loosened:
        assert "violates PodSecurity" in _tried(api, pod | {"spec": pod["spec"] | lax})


def _with_account(api: HTTPClient, namespace: str) -> None:
    """Make the namespace as the manifests have it, and an account for a pod."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "try", "namespace": namespace}}
    if namespace == "ibfeed-simulator":
        path = ROOT / "manifests" / "simulator" / "namespace.yaml"
        api.post(version="v1", url="namespaces", data=json.dumps(yaml.safe_load(path.read_text())))
    response = api.post(version="v1", namespace=namespace, url="serviceaccounts", data=json.dumps(account))
    assert response.status_code in (201, 409), response.text


def _tried(api: HTTPClient, pod: Manifest) -> str:
    """Return why the API server refuses the pod, or nothing."""
    response = api.post(
        version="v1",
        namespace=pod["metadata"]["namespace"],
        url="pods",
        data=json.dumps(pod),
        params={"dryRun": "All"},
    )
    message: str = "" if response.status_code == 201 else response.json()["message"]
    return message


def test_each_namespace_of_ours_is_restricted() -> None:
    found = [item for path in ROOT.glob("manifests/**/*.yaml") for item in yaml.safe_load_all(path.read_text()) if item]
    labels = {o["metadata"]["name"]: o["metadata"]["labels"] for o in found if o.get("kind") == "Namespace"}
    assert labels.keys() == {SYSTEM, "ibfeed-simulator", "market-data"}
    assert {of["pod-security.kubernetes.io/enforce"] for of in labels.values()} == {"restricted"}
