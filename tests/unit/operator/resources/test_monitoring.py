"""The monitors of ``manifests/monitoring`` find the pods that there are, by their labels and ports.

The Prometheus operator's kinds are not on the tests' cluster, so their structure is checked here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ibfeed_api.feed import FeedSpec
from ibfeed_api.sink import OBJECTIVE_MS
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.network import network_policy
from ibfeed_operator.resources.pod import pod_template
from ibfeed_operator.sinks.resources import sink_children
from ibfeed_platform.sinks.metrics import BUCKETS_S
from ibfeed_worker.publish import LATENCY_BUCKETS_S
from support.ibsinks import feed, sink

POD_LABEL = "__meta_kubernetes_pod_label_"
MANIFESTS = Path(__file__).resolve().parents[4] / "manifests"
SPEC = {
    "roots": [{"symbol": "CL"}],
    "accounts": {"secretRef": {"name": "accounts"}},
    "kafka": {"bootstrapServers": "kafka:9092"},
}
FEED = Feed(namespace="n", name="f", uid="u", generation=1, spec=msgspec.convert(SPEC, FeedSpec))


def sink_template() -> dict[str, Any]:
    it = sink()
    assert it.spec is not None
    found: dict[str, Any] = sink_children(it, it.spec, feed(), image="image")[-1]["spec"]["template"]
    return found


def templates() -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((MANIFESTS / "operator" / "deployment.yaml").read_text())
    (deployment,) = (document for document in documents if document["kind"] == "Deployment")
    return {
        "ibfeed-operator": deployment["spec"]["template"],
        "ibfeed-workers": pod_template(FEED, "image"),
        "ibfeed-sinks": sink_template(),
    }


def documents(kind: str) -> dict[str, dict[str, Any]]:
    folder = MANIFESTS / "monitoring"
    files = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    found = [document for file in files for document in yaml.safe_load_all((folder / file).read_text())]
    return {document["metadata"]["name"]: document for document in found if document["kind"] == kind}


def monitors() -> dict[str, dict[str, Any]]:
    return documents("PodMonitor")


def test_there_is_one_for_operator_workers_and_sinks() -> None:
    assert {(found["apiVersion"], found["kind"]) for found in monitors().values()} == {
        ("monitoring.coreos.com/v1", "PodMonitor")
    }
    assert monitors().keys() == templates().keys()


@pytest.mark.parametrize("name", ["ibfeed-operator", "ibfeed-workers", "ibfeed-sinks"])
def test_it_selects_its_pods_and_a_port_they_have(name: str) -> None:
    spec, template = monitors()[name]["spec"], templates()[name]
    labels = template["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    for other in templates().keys() - {name}:
        assert not spec["selector"]["matchLabels"].items() <= templates()[other]["metadata"]["labels"].items()
    ports = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
    for endpoint in spec["podMetricsEndpoints"]:
        assert endpoint["port"] in ports
        assert endpoint["path"] == "/metrics"
        for rule in endpoint.get("relabelings", ()):
            (source,) = rule["sourceLabels"]
            assert source in {POD_LABEL + re.sub("[^a-zA-Z0-9]", "_", label) for label in labels}


@pytest.mark.parametrize("name", ["ibfeed-workers", "ibfeed-sinks"])
def test_pods_are_found_in_every_namespace(name: str) -> None:
    assert monitors()[name]["spec"]["namespaceSelector"] == {"any": True}


def test_the_objective_is_a_bound_of_a_bucket() -> None:
    """Else the share of records within it could only be guessed."""
    assert OBJECTIVE_MS / 1000 in BUCKETS_S
    assert OBJECTIVE_MS / 1000 in LATENCY_BUCKETS_S
    text = (MANIFESTS / "monitoring" / "rules.yaml").read_text()
    assert f'le="{OBJECTIVE_MS / 1000}"' in text


def test_the_label_that_lets_prometheus_in_is_documented() -> None:
    policy = network_policy(FEED, operator_namespace="ibfeed-system")
    (rule,) = policy["spec"]["ingress"]
    ((label, value),) = rule["from"][1]["namespaceSelector"]["matchLabels"].items()
    assert f"{label}={value}" in (MANIFESTS / "monitoring" / "kustomization.yaml").read_text()
    assert f"{label}={value}" in (MANIFESTS.parent / "README.md").read_text()
