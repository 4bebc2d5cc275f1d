"""The alert rules of ``manifests/monitoring``, as Prometheus reads them."""

from __future__ import annotations

from typing import Any

import yaml

from support.cluster import ROOT

FOLDER = ROOT / "manifests" / "monitoring"


def plain_rules() -> dict[str, Any]:
    """Return the groups of all rules' resources."""
    files = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    documents = [document for file in files for document in yaml.safe_load_all((FOLDER / file).read_text())]
    return {
        "groups": [
            group
            for document in documents
            if document["kind"] == "PrometheusRule"
            for group in document["spec"]["groups"]
        ]
    }


def alert_rules() -> dict[str, dict[str, Any]]:
    """Return the alerts by name."""
    return {rule["alert"]: rule for group in plain_rules()["groups"] for rule in group["rules"] if "alert" in rule}
