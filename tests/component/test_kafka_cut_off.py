"""A worker whose way to Kafka is cut lets go, and nothing of it arrives when the way is open again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise

from support.cluster import ROOT
from support.figures import Figures

SOURCES = os.pathsep.join(str(ROOT / folder) for folder in ("tests", "api", "worker"))


def test_nothing_of_a_worker_that_was_cut_off_comes_late(figures: Figures) -> None:
    ran = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "support.cut_off_kafka"],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout)
    assert found["epochs"] == sorted(found["epochs"])  # no record of the first after one of the second
    assert set(found["epochs"]) == {1, 2}
    times = [time for time, _, _ in found["records"]]
    assert all(earlier < later for earlier, later in pairwise(times))  # none twice
    there = set(times)
    missing = [time for time in found["sent"] if time <= times[-1] and time not in there]
    assert [time for time in missing if not any(low < time < high for low, high in found["gaps"])] == []
    figures.record("worker: cut off from Kafka, until it says so", found["said_s"], bar=4.5)
    figures.record(
        "worker: cut off from Kafka, until its heir publishes, without the operator", found["taken_s"], bar=8
    )
    assert missing == []  # the heir held what came since
