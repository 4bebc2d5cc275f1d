"""The operator's NetworkPolicy fits the pods that there are: its own, the workers', and nothing else of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ibfeed_api.labels import COMPONENT_WORKER, LABEL_COMPONENT, LABEL_NAME, NAME
from ibfeed_operator.resources.network import LABEL_METRICS, METRICS_ALLOWED

MANIFESTS = Path(__file__).resolve().parents[4] / "manifests" / "operator"


def manifest(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())
    return found


def test_it_selects_the_operator_s_pods() -> None:
    template = manifest("deployment")["spec"]["template"]
    assert manifest("network")["spec"]["podSelector"]["matchLabels"] == template["metadata"]["labels"]


def test_operator_s_port_is_for_workers_and_scrapers() -> None:
    spec = manifest("network")["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    (rule,) = spec["ingress"]
    workers, scrapers = rule["from"]
    assert workers["podSelector"]["matchLabels"] == {LABEL_NAME: NAME, LABEL_COMPONENT: COMPONENT_WORKER}
    assert workers["namespaceSelector"] == {}, "feeds are in any namespace"
    assert scrapers == {"namespaceSelector": {"matchLabels": {LABEL_METRICS: METRICS_ALLOWED}}}
    (container,) = manifest("deployment")["spec"]["template"]["spec"]["containers"]
    assert [port["port"] for port in rule["ports"]] == [port["name"] for port in container["ports"]]
