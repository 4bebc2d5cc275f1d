"""Reading the stream, keeping the session and obeying the shard: each is held in turn, and the others go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from support.cluster import eventually
from support.forwarder import api_server
from support.simulator import Venue
from support.stream import Tap
from support.worker import Stage, Worker, below, entry

# A worker renews its Lease each 3 s and stops 8 s after its last renewal: a cut may begin right before a renewal.
CUT_S = 3.0
HELD_S = 5.0
PAUSE_S = 2.5  # of any contract; IB's pace is 0.5 s


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory, gateway_folder: Path, tmp_path: Path) -> Iterator[Stage]:
    with (
        Venue(tmp_path_factory.mktemp("venue"), "--slower", "1") as venue,
        Stage(venue, gateway_folder, tmp_path) as stage,
    ):
        yield stage


def publishing(worker: Worker) -> set[int]:
    return {one["conid"] for one in worker.status().get("contracts", []) if one["state"] == "publishing"}


def longest_pause(tap: Tap, conids: set[int], begun: float, ended: float) -> float:
    """Seconds, of the contract that was silent longest."""
    times = {conid: [record.arrived for record in tap.by_contract()[conid]] for conid in conids}
    return max(b - a for of in times.values() for a, b in pairwise([begun, *(t for t in of if t < ended), ended]))


def test_each_part_is_held_in_turn_and_the_others_go_on(stage: Stage, tmp_path: Path) -> None:
    with api_server(tmp_path) as (forwarder, kubeconfig), stage.worker(kubeconfig=kubeconfig) as worker:
        worker.until("Streaming", within=60)
        contracts = worker.resolve("CL", 4).json()["contracts"]
        entries = [entry(contract, slot=slot) for slot, contract in enumerate(contracts)]
        conids = {contract["conid"] for contract in contracts}
        first = {one["conid"] for one in entries[:3]}
        worker.give(1, entries[:3])
        eventually(lambda: publishing(worker) == first, within=20, what="publishing")
        with Tap(stage.topics.ticklast.name) as tap:
            time.sleep(1)

            # What obeys the shard waits for the API server: the stream goes on, and so does the session.
            begun = time.time()
            forwarder.cut()
            before = stage.lease()["spec"]["renewTime"]
            time.sleep(CUT_S)
            assert worker.probe("/readyz") == 200
            forwarder.mend()
            assert longest_pause(tap, first, begun, time.time()) < PAUSE_S
            eventually(lambda: stage.lease()["spec"]["renewTime"] != before, within=10, what="a renewal")
            assert worker.status()["session"] == "Streaming"

            # What keeps the session waits for IB's answers: the stream goes on, and a new contract is taken.
            begun = time.time()
            stage.venue.fault("slow", value=20)
            worker.give(1, entries)
            eventually(lambda: publishing(worker) == conids, within=HELD_S * 2, what="the new contract publishing")
            assert longest_pause(tap, first, begun, time.time()) < PAUSE_S
            stage.venue.clear()

        # Nothing can be read, since the gateway stands still: the Lease is renewed and the shard is obeyed.
        gateway = [pid for pid in below(worker.pid) if "gateway" in Path(f"/proc/{pid}/cmdline").read_text()]
        assert gateway
        before = stage.lease()["spec"]["renewTime"]
        try:
            for pid in gateway:
                os.kill(pid, signal.SIGSTOP)
            worker.give(1, entries[:2])
            left = {one["conid"] for one in entries[:2]}
            eventually(
                lambda: {one["conid"] for one in worker.status()["contracts"]} == left,
                within=HELD_S,
                what="the contracts taken away",
            )
            eventually(lambda: stage.lease()["spec"]["renewTime"] != before, within=HELD_S, what="a renewal")
            assert worker.probe("/healthz") == 200
        finally:
            for pid in gateway:
                os.kill(pid, signal.SIGCONT)
