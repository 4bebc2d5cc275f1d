"""Two workers behind one address: what IB forbids the one, the other leaves alone, too."""

from __future__ import annotations

import time

from support.cluster import eventually
from support.stream import Tap
from support.worker import Stage, entry


def calls(metrics: str) -> float:
    return sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("ibfeed_rest_calls_total"))


def test_the_other_worker_hears_of_a_429_and_both_stream_on(stage: Stage) -> None:
    stage.add_turns()
    with stage.worker(1, number=0) as one, stage.worker(2, number=1) as other:
        for worker in (one, other):
            worker.until("Streaming", within=60)
        contracts = other.resolve("CL", 2).json()["contracts"]
        other.give(2, [entry(contract, slot=slot) for slot, contract in enumerate(contracts)])
        conids = {contract["conid"] for contract in contracts}
        with Tap(stage.topics.ticklast.name) as tap:
            eventually(lambda: set(tap.by_contract()) == conids, within=20, what="ticks")
        stage.venue.fault("penalty", username=stage.venue.credentials["username-1"], seconds=900)
        assert one.resolve("NG").status_code >= 400  # it asks IB, and is answered 429
        told = eventually(
            lambda: stage.lease("logins")["metadata"].get("annotations", {}).get("ibfeed.dev/penalties"),
            within=10,
            what="the Lease tells",
        )
        assert told is not None and "node/here" in told
        eventually(lambda: "another worker of this address" in other.log.read_text(), within=45, what="the other hears")
        before = calls(other.metrics())
        with Tap(stage.topics.ticklast.name) as tap:
            time.sleep(15)
            assert set(tap.by_contract()) == conids, "it streams on"
        assert other.resolve("NG").status_code >= 400
        assert calls(other.metrics()) == before, "and asks IB nothing"
