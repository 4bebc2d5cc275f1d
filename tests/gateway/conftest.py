"""A feed whose workers run the gateway distribution that is to be accepted, on the cluster of `make test-gateway`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cluster.conftest import NAMESPACE, remove_all_feeds, venue, wait_ready  # noqa: F401 - a fixture among them
from support.cluster import ROOT, kubectl, read
from support.daytime import quiet_region

FEED = "accept"
WORKERS = 2
IMAGE = os.environ.get("IBFEED_GATEWAY_IMAGE", "")


def manifest() -> dict[str, Any]:
    """The example's, with two workers, six contracts, and the image under test."""
    feed: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "energy.yaml").read_text())
    feed["metadata"]["name"] = FEED
    spec = feed["spec"] | {"workers": WORKERS, "frontMonths": 3}
    spec["accounts"] = spec["accounts"] | {"competeBackoffSeconds": 60, "region": quiet_region()}
    return feed | {"spec": spec | ({"worker": {"image": IMAGE}} if IMAGE else {})}


@pytest.fixture(scope="session", autouse=True)
def feed(venue: Any) -> Iterator[None]:  # noqa: F811
    """Nothing before, nothing after; the tests themselves apply it."""
    remove_all_feeds()
    venue.heal()
    yield
    venue.heal()
    remove_all_feeds()


def status() -> dict[str, Any]:
    found: dict[str, Any] = read("ibfeed", FEED, NAMESPACE)["status"]
    return found


def worker(number: int) -> dict[str, Any]:
    """What a worker says in its IbShard."""
    found: dict[str, Any] = read("ibshard", f"{FEED}-{number}", NAMESPACE).get("status", {})
    return found


_KILL = """
import json, os, pathlib, signal
note = next(pathlib.Path("/tmp").glob("ibfeed-*/gateway.json"))
os.killpg(json.loads(note.read_text())["pid"], signal.SIGKILL)
"""


def kill_gateway(number: int) -> None:
    """``kill -9`` of the gateway in a worker's container: the shell and the JVM below it."""
    kubectl("exec", "-n", NAMESPACE, f"{FEED}-{number}", "-c", "worker", "--", "python", "-c", _KILL)
