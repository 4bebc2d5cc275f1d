"""A worker that did not reach the API server for a while hears its news when it does, not half a minute later."""

from __future__ import annotations

import os
import subprocess
import sys

from support.cluster import ROOT
from support.figures import Figures

SOURCES = os.pathsep.join(str(ROOT / folder) for folder in ("tests", "api", "worker"))


def test_news_of_a_cut_come_with_its_end(figures: Figures) -> None:
    ran = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "support.cut_off_watch"],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    took = float(ran.stdout)
    figures.record("worker: end of a cut from the API server of 25 s, until it has its shard's news", took, bar=9)
