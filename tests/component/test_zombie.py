"""A worker that sleeps through the end of its Lease: another one takes over, and what it wakes up with stays unsaid."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ibfeed_api.feed import Kafka
from support.cluster import eventually
from support.simulator import Venue
from support.stream import KAFKA, Tap
from support.worker import Stage, Worker, below, entry

ROOT, MONTHS = "CL", 12
ASLEEP_S = 30


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory, gateway_folder: Path, tmp_path: Path) -> Iterator[Stage]:
    with (
        Venue(tmp_path_factory.mktemp("venue"), "--slower", "1") as venue,
        Stage(venue, gateway_folder, tmp_path) as stage,
    ):
        yield stage


def assign(worker: Worker, index: int, contracts: list[dict[str, Any]], epoch: int) -> None:
    worker.give(index, [entry(contract, slot=slot, epoch=epoch) for slot, contract in enumerate(contracts)])


def publishing(worker: Worker, epoch: int) -> set[int]:
    reports = worker.status().get("contracts", [])
    return {one["conid"] for one in reports if (one["state"], one["epoch"]) == ("publishing", epoch)}


def test_a_worker_that_is_stopped_for_30_s_and_continued_writes_nothing_more(stage: Stage) -> None:
    # The client holds every record for half a second, so that some are in its queue whenever the process is stopped.
    kafka = Kafka(bootstrap_servers=KAFKA, topics=stage.topics, linger_ms=500)
    with stage.worker(1, number=0, kafka=kafka) as old, stage.worker(2, number=1) as new:
        old.until("Streaming", within=60)
        new.until("Streaming", within=60)
        contracts = old.resolve(ROOT, MONTHS).json()["contracts"]
        conids = {contract["conid"] for contract in contracts}
        assign(old, 1, contracts, 1)
        eventually(lambda: publishing(old, 1) == conids, within=20, what="the first worker publishing")
        tree = [old.pid, *below(old.pid)]
        with Tap(stage.topics.ticklast.name) as ticks, Tap(stage.topics.feed_events.name) as events:
            time.sleep(3)
            for pid in tree:
                os.kill(pid, signal.SIGSTOP)
            asleep = time.monotonic()
            try:
                # What the operator does when the Lease has been silent for ten seconds.
                time.sleep(10.5)
                assign(new, 2, contracts, 2)
                eventually(lambda: publishing(new, 2) == conids, within=19, what="the second worker publishing")
                time.sleep(max(0.0, asleep + ASLEEP_S - time.monotonic()))
            finally:
                for pid in reversed(tree):
                    if Path(f"/proc/{pid}").exists():
                        os.kill(pid, signal.SIGCONT)
            time.sleep(5)
            records, told = ticks.records(), events.records()
        for pid in tree[1:]:  # in a container they go with the worker
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)
    by_contract = defaultdict(list)
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        by_contract[record.conid].append(record)
    gaps = {event.value["conid"]: event.value for event in told if event.value["kind"] == "gap"}
    assert set(by_contract) == set(gaps) == conids
    for conid, mine in by_contract.items():
        epochs = [int(record.headers["epoch"]) for record in mine]
        assert epochs == sorted(epochs), "a record of the old epoch after the new owner's first"
        times = [record.value["event_time"] for record in mine]
        assert times == sorted(set(times))
        first = epochs.index(2)
        assert (gaps[conid]["from_ms"], gaps[conid]["to_ms"]) == (times[first - 1], times[first])
        assert max((after - before for before, after in pairwise(times[first:])), default=0) < 5000
