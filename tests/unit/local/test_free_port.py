from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

from support.cluster import ROOT

ASK = "from support.ports import free_port; print(*(free_port() for _ in range(5)), flush=True); input()"


def test_processes_that_start_together_are_given_different_ports() -> None:
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", ASK], cwd=ROOT / "tests", stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            for _ in range(4)
        ]
        given = [port for process in processes if process.stdout for port in process.stdout.readline().split()]
        for process in processes:
            process.communicate(b"\n", timeout=10)
    assert len(set(given)) == len(given) == 20
