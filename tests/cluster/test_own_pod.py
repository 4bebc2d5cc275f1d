"""What an installation sets of its workers' pods, in a real pod: not root, under the limits of a real kubelet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cluster.conftest import NAMESPACE, remove_all_feeds, wait_ready
from ibfeed_local import layout
from support.cluster import ROOT, eventually, kubectl, read
from support.connect_proxy import ConnectProxy
from support.stream import Tap

pytestmark = pytest.mark.timeout(400)

HOST = layout.KAFKA.rpartition(":")[0]  # this host, as pods reach it
UPSTREAM = "ib-api.ibfeed-simulator.svc.cluster.local"


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    remove_all_feeds()
    yield
    remove_all_feeds()


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    """What leads to the venue, and to nothing else."""
    venue = read("service", "ib-api", "ibfeed-simulator")["spec"]["clusterIP"]
    with ConnectProxy({f"{UPSTREAM}:443": (venue, 443)}, address=HOST) as proxy:
        yield proxy
        remove_all_feeds()  # a worker logs out, which leads through here, too


def apply(**worker: Any) -> None:
    feed = yaml.safe_load((ROOT / "examples" / "energy.yaml").read_text())
    feed["spec"].update(workers=1, frontMonths=2, worker=worker)
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(feed))


def test_worker_streams_through_a_proxy_with_settings_of_its_own(proxy: ConnectProxy) -> None:
    apply(
        env=[{"name": "HTTPS_PROXY", "value": f"http://{HOST}:{proxy.port}"}],
        resources={"requests": {"cpu": "50m"}, "limits": {"memory": "1536Mi"}},
        labels={"example.com/team": "data"},
        annotations={"example.com/note": "tried"},
        tolerations=[{"key": "dedicated", "operator": "Exists"}],
    )
    feed = wait_ready("energy")
    conids = {contract["conid"] for contract in feed["status"]["contracts"]}
    with Tap() as tap:
        eventually(lambda: conids <= set(tap.by_contract()), within=30, what="ticks of every contract")
    assert set(proxy.targets) == {f"{UPSTREAM}:443"}

    pod = read("pod", "energy-0", NAMESPACE)
    (container,) = pod["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "50m", "memory": "512Mi"},
        "limits": {"memory": "1536Mi"},
    }
    assert pod["metadata"]["labels"]["example.com/team"] == "data"
    assert pod["metadata"]["annotations"]["example.com/note"] == "tried"
    assert {"key": "dedicated", "operator": "Exists"} in pod["spec"]["tolerations"]
    assert feed["status"]["image"] == container["image"]
    wide = kubectl("get", "ibf", "energy", "-n", NAMESPACE, "-o", "wide")
    assert container["image"] in wide


def test_log_level_changes_in_a_running_pod() -> None:
    apply()
    wait_ready("energy")
    started = read("pod", "energy-0", NAMESPACE)["status"]["containerStatuses"][0]["containerID"]
    patch = json.dumps({"spec": {"worker": {"logLevel": "Debug"}}})
    kubectl("patch", "ibf", "energy", "-n", NAMESPACE, "--type=merge", "-p", patch)
    eventually(
        lambda: '"level": "debug"' in kubectl("logs", "energy-0", "-n", NAMESPACE, "--tail=200"),
        within=20,
        what="debug lines in the pod's log",
    )
    assert read("pod", "energy-0", NAMESPACE)["status"]["containerStatuses"][0]["containerID"] == started
