"""Two workers that are members of each other, each with its own way to the API server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from support.cluster import eventually
from support.forwarder import Forwarder, api_server
from support.stream import Tap
from support.worker import Stage, Worker, entry

LASTS_S = 20.0  # more than twice what a worker goes on by itself


@dataclass(frozen=True)
class Pair:
    stage: Stage
    workers: tuple[Worker, Worker]
    ways: tuple[Forwarder, Forwarder]

    def renewed(self, index: int) -> float:
        return datetime.fromisoformat(self.stage.lease(index)["spec"]["renewTime"]).timestamp()

    def goes_on(self, tap: Tap) -> None:
        """Each worker published its contract within the last seconds, and has lost nothing."""
        seen = {record.headers["worker"] for record in tap.records() if record.arrived > time.time() - 5}
        assert seen == {worker.name for worker in self.workers}
        assert self.lost() == [False, False]

    def mend(self) -> None:
        for way in self.ways:
            way.answers_in = 0.0
            way.mend()
        renewing = "ibfeed_failsafe 0.0"
        eventually(lambda: all(renewing in one.metrics() for one in self.workers), within=30, what="both renew")

    def lost(self) -> list[bool]:
        return ["account lost" in worker.log.read_text() for worker in self.workers]


def _names_a_member(stage: Stage, index: int) -> bool:
    return "ibfeed.dev/failsafe-members" in stage.lease(index)["metadata"].get("annotations", {})


@pytest.fixture
def pair(stage: Stage, tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        ways, workers = [], []
        for number in range(2):
            folder = tmp_path / f"way-{number}"
            folder.mkdir()
            way, kubeconfig = stack.enter_context(api_server(folder))
            ways.append(way)
            workers.append(stack.enter_context(stage.worker(number + 1, number=number, kubeconfig=kubeconfig)))
        for worker in workers:
            worker.until("Streaming", within=60)
        contracts = workers[0].resolve("CL").json()["contracts"]
        for worker, contract in zip(workers, contracts, strict=False):
            worker.patch({"contracts": [entry(contract, slot=0)]})
        for worker, other in (workers, workers[::-1]):
            member = {
                "namespace": stage.namespace,
                "name": f"{other.name}_{other.uid}",
                "address": f"127.0.0.1:{other.http_port}",
                "key": other.status()["key"],
            }
            worker.patch({"members": [member]})
        eventually(
            lambda: all(_names_a_member(stage, index) for index in (1, 2)), within=15, what="the Leases name members"
        )
        yield Pair(stage, (workers[0], workers[1]), (ways[0], ways[1]))
        for way in ways:
            way.mend()


def test_a_pair_outlives_its_api_server(pair: Pair) -> None:
    """One is cut off alone, then both are, then all answers take 10 s: neither worker stops."""
    with Tap(pair.stage.topics.ticklast.name) as tap:
        pair.ways[0].cut()
        time.sleep(LASTS_S)
        assert time.time() - pair.renewed(1) < 8, "the other one renews for it"
        pair.goes_on(tap)
        assert "asked to renew another's Lease" in pair.workers[1].log.read_text()
        pair.ways[1].cut()
        time.sleep(LASTS_S)
        pair.goes_on(tap)
        assert all("ibfeed_failsafe 1.0" in worker.metrics() for worker in pair.workers)
        pair.mend()
        for way in pair.ways:
            way.answers_in = 10.0
        time.sleep(LASTS_S)
        pair.goes_on(tap)
        pair.mend()
        pair.goes_on(tap)


def test_a_worker_whose_only_member_has_died_stops_in_time(pair: Pair) -> None:
    for way in pair.ways:
        way.cut()
    time.sleep(LASTS_S)
    pair.workers[1].kill()
    killed = time.monotonic()
    eventually(lambda: pair.lost()[0], within=12, what="the other fences itself", every=0.1)
    assert time.monotonic() - killed < 9, "before the kernel would have ended it"
    eventually(lambda: not pair.stage.venue.user(1)["logged_in"], within=15, what="logged out")
