"""The monitors of ``manifests/monitoring`` find the pods that there are, by their labels and ports.

The Prometheus operator's kinds are not on the tests' cluster, so their structure is checked here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ibfeed_api.feed import FeedSpec
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.network import network_policy
from ibfeed_operator.resources.pod import pod_template

MANIFESTS = Path(__file__).resolve().parents[4] / "manifests"
SPEC = {
    "roots": [{"symbol": "CL"}],
    "accounts": {"secretRef": {"name": "accounts"}},
    "kafka": {"bootstrapServers": "kafka:9092"},
}
FEED = Feed(namespace="n", name="f", uid="u", generation=1, spec=msgspec.convert(SPEC, FeedSpec))


def templates() -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((MANIFESTS / "operator" / "deployment.yaml").read_text())
    (deployment,) = (document for document in documents if document["kind"] == "Deployment")
    return {"ibfeed-operator": deployment["spec"]["template"], "ibfeed-workers": pod_template(FEED, "image")}


def monitors() -> dict[str, dict[str, Any]]:
    folder = MANIFESTS / "monitoring"
    files = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    documents = [document for file in files for document in yaml.safe_load_all((folder / file).read_text())]
    return {document["metadata"]["name"]: document for document in documents}


def test_there_is_one_for_the_operator_and_one_for_the_workers() -> None:
    assert {(found["apiVersion"], found["kind"]) for found in monitors().values()} == {
        ("monitoring.coreos.com/v1", "PodMonitor")
    }
    assert monitors().keys() == templates().keys()


@pytest.mark.parametrize("name", ["ibfeed-operator", "ibfeed-workers"])
def test_it_selects_its_pods_and_a_port_they_have(name: str) -> None:
    spec, template = monitors()[name]["spec"], templates()[name]
    labels = template["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    other = templates()["ibfeed-workers" if name == "ibfeed-operator" else "ibfeed-operator"]
    assert not spec["selector"]["matchLabels"].items() <= other["metadata"]["labels"].items()
    ports = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
    for endpoint in spec["podMetricsEndpoints"]:
        assert endpoint["port"] in ports
        assert endpoint["path"] == "/metrics"
    assert set(spec.get("podTargetLabels", ())) <= labels.keys()


def test_workers_are_found_in_every_namespace() -> None:
    assert monitors()["ibfeed-workers"]["spec"]["namespaceSelector"] == {"any": True}


def test_the_label_that_lets_prometheus_in_is_documented() -> None:
    policy = network_policy(FEED, operator_namespace="ibfeed-system")
    (rule,) = policy["spec"]["ingress"]
    ((label, value),) = rule["from"][1]["namespaceSelector"]["matchLabels"].items()
    assert f"{label}={value}" in (MANIFESTS / "monitoring" / "kustomization.yaml").read_text()
    assert f"{label}={value}" in (MANIFESTS.parent / "README.md").read_text()
