"""A small feed on the local cluster, and what is on Kafka against what the venue sent."""

from __future__ import annotations

import copy
import json
import time
from typing import Any, Final

import yaml

from support.cluster import ROOT, kubectl, read
from support.stream import Tap
from support.truth import compare
from support.venue import Venue

NAMESPACE: Final = "default"


def apply(name: str, *, workers: int, standby: str = "None", **kafka: Any) -> None:
    feed = copy.deepcopy(yaml.safe_load((ROOT / "examples" / "energy.yaml").read_text()))
    feed["metadata"]["name"] = name
    feed["spec"] |= {"frontMonths": 2, "workers": workers, "standby": standby}
    feed["spec"]["kafka"] |= kafka
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(feed))


def feed(name: str) -> dict[str, Any]:
    return read("ibfeed", name, NAMESPACE)


def check(ticks: Tap, events: Tap, venue: Venue, name: str, since: int) -> int:
    """Assert that nothing is doubled or disordered, and that each loss lies in a gap record; how much is missing."""
    until_ms = venue.now_ms() - 1500
    time.sleep(2)
    slots = {c["conid"]: c["slot"] for c in feed(name)["status"]["contracts"]}
    gaps = [record.value for record in events.records() if record.value["kind"] == "gap"]
    found = compare(ticks.by_contract(), venue.updates(since), slots, until_ms=until_ms, gaps=gaps)
    assert found.sent > 4 * 10
    assert found.untold == 0
    return found.missing
