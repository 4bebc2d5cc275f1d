"""What the builders make, against files that a person has read.

``IBFEED_GOLDEN=write pytest tests/unit/operator/resources`` writes the files again; read the difference before
committing it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ibfeed_api.feed import Accounts, FeedSpec, Login, SecretRef, WorkerSpec
from ibfeed_api.kinds import shard_name
from ibfeed_api.shard import Account, Entry, EntryState, ShardSpec
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources import account_lease, children, logins_lease, selector, shard, shard_spec

GOLDEN = Path(__file__).parent / "golden"
IMAGE = "ibfeed/worker:1.2.3"

SECRET = {
    "roots": [{"symbol": "CL"}, {"symbol": "NG"}],
    "workers": 3,
    "accounts": {"secretRef": {"name": "ib-paper-accounts"}, "count": 4},
    "kafka": {"bootstrapServers": "kafka:9092"},
}
VAULT = {
    "roots": [{"symbol": "CL"}],
    "workers": 2,
    "accounts": {
        "keyVault": {
            "url": "https://example.vault.azure.net",
            "clientId": "11111111-2222-3333-4444-555555555555",
            "tenantId": "example.onmicrosoft.com",
        },
        "first": 3,
        "count": 2,
    },
    "kafka": {
        "bootstrapServers": "kafka:9093",
        "securityProtocol": "SASL_SSL",
        "saslMechanism": "PLAIN",
        "secretRef": {"name": "event-hub"},
    },
    "extraCA": {"name": "proxy-ca", "key": "proxy.pem"},
}

OWN_POD = SECRET | {
    "worker": {
        "image": "registry.example.com/ibfeed/worker:2.0.0",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "registry"}],
        "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "3Gi", "cpu": 2}},
        "nodeSelector": {"pool": "market-data"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "ib", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
                }
            }
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "priorityClassName": "market-data",
        "labels": {"example.com/team": "data", "app.kubernetes.io/name": "stolen"},
        "annotations": {"example.com/cost": "42", "kubectl.kubernetes.io/default-container": "stolen"},
        "env": [
            {"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}},
            {"name": "NO_PROXY", "value": ".svc,10.0.0.0/8"},
        ],
        "logLevel": "Debug",
    }
}


def feed_of(spec: dict[str, Any], name: str = "energy") -> Feed:
    return Feed(namespace="markets", name=name, uid="u-1", generation=1, spec=msgspec.convert(spec, FeedSpec))


def built(feed: Feed, *, replicas: int = 3, shards: tuple[str, ...] | None = None) -> dict[str, dict[str, Any]]:
    wanted = tuple(shard_name(feed.name, i) for i in range(feed.spec.workers)) if shards is None else shards
    objects = children(feed, image=IMAGE, operator_namespace="ibfeed-system", replicas=replicas, shards=wanted)
    return {manifest["kind"]: manifest for manifest in objects}


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


RECORDING = SECRET | {"recording": {"sizeLimitGiB": 20}}


def check(name: str, manifest: dict[str, Any]) -> None:
    path = GOLDEN / name
    if os.environ.get("IBFEED_GOLDEN") == "write":
        path.write_text(yaml.dump(manifest, Dumper=_Plain, sort_keys=False, width=120))
    assert yaml.safe_load(path.read_text()) == manifest


KINDS = (
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "NetworkPolicy",
    "Service",
    "PodDisruptionBudget",
    "StatefulSet",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_feed_with_a_secret(kind: str) -> None:
    check(f"secret-{kind.lower()}.yaml", built(feed_of(SECRET))[kind])


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "StatefulSet"])
def test_a_feed_with_a_vault(kind: str) -> None:
    check(f"vault-{kind.lower()}.yaml", built(feed_of(VAULT, "crude"), replicas=2)[kind])


def test_what_an_installation_sets_is_merged_into_the_pod() -> None:
    check("own-pod-statefulset.yaml", built(feed_of(OWN_POD))["StatefulSet"])


def test_statefulset_of_workers_that_record() -> None:
    check("recording-statefulset.yaml", built(feed_of(RECORDING))["StatefulSet"])


def test_recording_goes_to_the_claim_that_is_named() -> None:
    spec = RECORDING | {"recording": {"claimName": "frames"}}
    pod = built(feed_of(spec))["StatefulSet"]["spec"]["template"]["spec"]
    assert {"name": "recording", "persistentVolumeClaim": {"claimName": "frames"}} in pod["volumes"]


class TestOwnPod:
    def template(self, **worker: Any) -> dict[str, Any]:
        found: dict[str, Any] = built(feed_of(SECRET | {"worker": worker}))["StatefulSet"]["spec"]["template"]
        return found

    @pytest.mark.parametrize(
        "worker",
        [
            {"logLevel": "Debug"},
            {"imagePullPolicy": "IfNotPresent", "labels": {}, "env": [], "tolerations": []},
            {"resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}},
            {"image": IMAGE},
        ],
    )
    def test_what_changes_no_pod_restarts_none(self, worker: dict[str, Any]) -> None:
        assert self.template(**worker) == self.template()

    def test_the_operator_s_labels_and_annotations_count_more(self) -> None:
        changed = self.template(
            labels={"app.kubernetes.io/name": "stolen", "example.com/team": "data"},
            annotations={"kubectl.kubernetes.io/default-container": "stolen"},
        )
        assert changed["metadata"]["labels"] == self.template()["metadata"]["labels"] | {"example.com/team": "data"}
        assert changed["metadata"]["annotations"] == self.template()["metadata"]["annotations"]

    def test_resources_are_merged_key_by_key(self) -> None:
        (container,) = self.template(resources={"limits": {"memory": "3Gi", "ephemeral-storage": "4Gi"}})["spec"][
            "containers"
        ]
        assert container["resources"] == {
            "requests": {"cpu": "100m", "memory": "512Mi"},
            "limits": {"memory": "3Gi", "ephemeral-storage": "4Gi"},
        }

    def test_a_spread_without_selector_means_this_feed_s_workers(self) -> None:
        constraint = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
        given = {"matchLabels": {"app": "x"}}
        spec = self.template(topologySpreadConstraints=[constraint, constraint | {"labelSelector": given}])["spec"]
        assert [found["labelSelector"] for found in spec["topologySpreadConstraints"]] == [
            {"matchLabels": selector("energy")},
            given,
        ]

    @pytest.mark.parametrize(("name", "opened"), [("HTTPS_PROXY", True), ("https_proxy", True), ("NO_PROXY", False)])
    def test_only_a_proxy_opens_low_ports(self, name: str, opened: bool) -> None:
        security = self.template(env=[{"name": name, "value": "x"}])["spec"]["securityContext"]
        assert ("sysctls" in security) is opened
        assert security["runAsNonRoot"] is True

    def test_what_keeps_a_worker_safe_cannot_be_reached(self) -> None:
        spec = built(feed_of(OWN_POD))["StatefulSet"]["spec"]["template"]["spec"]
        plain = self.template()["spec"]
        for field in ("serviceAccountName", "terminationGracePeriodSeconds", "volumes", "enableServiceLinks"):
            assert spec[field] == plain[field]
        (own,), (ours,) = spec["containers"], plain["containers"]
        for field in ("name", "securityContext", "volumeMounts", "ports", "livenessProbe", "readinessProbe"):
            assert own[field] == ours[field]
        assert own["env"][: len(ours["env"])] == ours["env"]


def test_lease() -> None:
    check("lease.yaml", account_lease("markets", Accounts(secret_ref=SecretRef(name="ib-paper-accounts")), 7))


def test_shard() -> None:
    entry = Entry(conid=1, symbol="CLZ6", root="CL", slot=0, epoch=4, state=EntryState.ACTIVE)
    account = Account(source="ib-paper-accounts", index=2, lease="ib-account-ib-paper-accounts-2")
    spec = ShardSpec(feed="energy", worker=1, account=account, contracts=(entry,), operator_key="a2V5")
    check("shard.yaml", shard(feed_of(SECRET), spec))


def test_objects_come_in_the_order_in_which_they_are_needed() -> None:
    assert tuple(built(feed_of(SECRET))) == KINDS


def test_everything_but_a_lease_is_owned_by_its_feed_and_labelled() -> None:
    feed = feed_of(SECRET)
    for manifest in (*built(feed).values(), shard(feed, ShardSpec(feed="energy", worker=0))):
        meta = manifest["metadata"]
        assert meta["namespace"] == "markets"
        assert [(o["kind"], o["name"], o["uid"]) for o in meta["ownerReferences"]] == [("IbFeed", "energy", "u-1")]
        assert meta["labels"].items() >= selector("energy").items()
    assert "ownerReferences" not in account_lease("markets", feed.spec.accounts, 1)["metadata"]
    assert "ownerReferences" not in logins_lease("markets", feed.spec.accounts)["metadata"]


def test_roots_scale_and_suspension_leave_the_pod_as_it_is() -> None:
    """Else a change of them would restart every worker."""
    changed = SECRET | {"roots": [{"symbol": "RB"}], "workers": 1, "frontMonths": 2, "suspend": True}
    before = built(feed_of(SECRET))["StatefulSet"]["spec"]["template"]
    assert built(feed_of(changed), replicas=0)["StatefulSet"]["spec"]["template"] == before


def environment(feed: Feed) -> dict[str, str]:
    (container,) = built(feed)["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}


def expanded(value: str) -> str:
    """What kubelet makes of a value without references: ``$$`` becomes ``$``."""
    return value.replace("$$", "$")


@pytest.mark.parametrize("spec", [SECRET, VAULT])
def test_the_worker_reads_back_the_spec_that_it_needs(spec: dict[str, Any]) -> None:
    feed = feed_of(spec)
    assert msgspec.json.decode(expanded(environment(feed)["IBFEED_SPEC"]), type=WorkerSpec) == feed.spec.for_worker


def test_a_selector_that_looks_like_a_variable_is_not_expanded() -> None:
    feed = feed_of(SECRET | {"gateway": {"login": {"error": "div[id$='x'] $(HOME)"}}})
    text = environment(feed)["IBFEED_SPEC"]
    assert "$$(HOME)" in text
    assert msgspec.json.decode(expanded(text), type=WorkerSpec).gateway.login == Login(error="div[id$='x'] $(HOME)")


def test_no_rule_of_the_role_is_without_names() -> None:
    """A rule without resourceNames would open every object of the namespace."""
    for shards in (("energy-0",), ()):
        for rule in built(feed_of(SECRET), shards=shards)["Role"]["rules"]:
            assert rule["resourceNames"]
            assert "*" not in json.dumps(rule)


def test_refused_pods_change_the_statefulset_but_not_its_template() -> None:
    """A change makes its controller try again at once; a change of the template would restart every worker."""
    feed = feed_of(SECRET)
    more: dict[str, Any] = {"image": IMAGE, "operator_namespace": "ibfeed-system", "replicas": 3, "shards": ()}
    plain, first, second = (children(feed, **more, asked_again=minute)[-1] for minute in (None, 7, 8))
    assert plain == built(feed, shards=())["StatefulSet"]
    assert first != second
    assert "annotations" not in plain["metadata"]
    assert first["spec"] == second["spec"] == plain["spec"]


def test_no_list_takes_entries_away() -> None:
    assert shard_spec(ShardSpec(feed="energy", worker=0))["contracts"] == []
