from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from support.cluster import ROOT, eventually, is_ready, items, kubectl, read
from support.control_plane import ControlPlane
from support.hollow import Crew
from support.hollow_feed import hollow_crew, hollow_plane
from support.operator_process import Operator
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
    kubectl("delete", "ibfeeds", "--all", "-n", NAMESPACE, "--wait=false")
    eventually(
        lambda: not [o for kind in ("ibfeeds", "ibshards", "pods") for o in items(kind, NAMESPACE)],
        within=60,
        what="every feed, shard and worker pod is gone",
    )
    # A parked account outlives its feed; here it would outlive the test that parked it.
    kubectl("delete", "leases", "-n", NAMESPACE, "-l", "ibfeed.dev/account-source", "--ignore-not-found")


def apply_example(name: str) -> None:
    kubectl("apply", "-n", NAMESPACE, "-f", str(ROOT / "examples" / f"{name}.yaml"))


def wait_ready(feed: str, within: float = 180) -> dict:
    return eventually(
        lambda: (found := read("ibfeed", feed, NAMESPACE)) and is_ready(found) and found,
        within=within,
        what=f"ibfeed {feed} is Ready: {read('ibfeed', feed, NAMESPACE).get('status', {}).get('conditions')}",
    )


# What the hollow tests share: a control plane, a crew of hollow workers and an operator for each file.


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with hollow_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crew(plane: ControlPlane) -> AsyncIterator[Crew]:
    async with hollow_crew(plane) as crew:
        yield crew


@pytest.fixture(scope="module")
def operator(plane: ControlPlane) -> Iterator[Operator]:
    operator = Operator(plane)
    operator.start()
    yield operator
    operator.kill()
