from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.cluster import ROOT, eventually, is_ready, items, kubectl, read
from support.venue import Venue

NAMESPACE = "default"


@pytest.fixture(scope="session")
def venue() -> Venue:
    """The simulator that `make up` deployed."""
    return Venue.in_cluster()


@pytest.fixture
def clean() -> Iterator[None]:
    """No feed before, none after: every test here starts from an empty namespace."""
    remove_all_feeds()
    yield
    remove_all_feeds()


def remove_all_feeds() -> None:
    kubectl("delete", "ibfeeds,ibsinks", "--all", "-n", NAMESPACE, "--wait=false")
    # The Redis of examples/downstream.yaml, which `make demo` applies.
    kubectl("delete", "deployment,service,secret", "hot-store", "-n", NAMESPACE, "--ignore-not-found", "--wait=false")
    eventually(
        lambda: not [o for kind in ("ibfeeds", "ibshards", "ibsinks", "pods") for o in items(kind, NAMESPACE)],
        within=60,
        what="every feed, shard, sink and their pods are gone",
    )
    # A parked account outlives its feed; here it would outlive the test that parked it.
    kubectl("delete", "leases", "-n", NAMESPACE, "-l", "ibfeed.dev/account-source", "--ignore-not-found")


def apply_example(name: str) -> None:
    kubectl("apply", "-n", NAMESPACE, "-f", str(ROOT / "examples" / f"{name}.yaml"))


def wait_ready(feed: str, within: float = 180) -> dict[str, Any]:
    return eventually(
        lambda: (found := read("ibfeed", feed, NAMESPACE)) and is_ready(found) and found,
        within=within,
        what=f"ibfeed {feed} is Ready: {read('ibfeed', feed, NAMESPACE).get('status', {}).get('conditions')}",
    )
