"""Writes ``client/ibfeed/doctor/release.json`` from ``crds/`` and the operator's rights: run it after a change of them.

The client shares no code with the product, and knows by this file what a release installs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from ibfeed.doctor.release import KINDS, field_paths

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "client/ibfeed/doctor/release.json"


def release_text() -> str:
    """Return what the file should hold."""
    documents = list(yaml.safe_load_all((ROOT / "manifests/operator/rbac.yaml").read_text()))
    roles = {document["kind"]: document.get("rules", []) for document in documents}
    content: dict[str, Any] = {
        "fields": {plural: sorted(_fields(plural)) for plural in KINDS},
        "operatorRules": roles["ClusterRole"],
        "ownRules": roles["Role"],
    }
    return json.dumps(content, indent=1) + "\n"


def _fields(plural: str) -> frozenset[str]:
    (version,) = yaml.safe_load((ROOT / f"crds/{plural}.yaml").read_text())["spec"]["versions"]
    return field_paths(version["schema"]["openAPIV3Schema"])


if __name__ == "__main__":
    FILE.write_text(release_text())
