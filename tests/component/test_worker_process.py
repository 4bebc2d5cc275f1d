"""The worker as PID 1 of a container."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from support.cluster import eventually
from support.simulator import environment
from support.worker import below

# What main() does, with something simpler than a worker after it.
PROGRAM = textwrap.dedent("""
    import os, signal, subprocess, sys, time
    from ibfeed_worker.runtime.processes import harden, run_as_init
    status = run_as_init()
    if status is not None:
        sys.exit(status)
    harden()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    # An orphan that ends: PID 1 has to bury it.
    subprocess.run(["sh", "-c", "sleep 0.2 & echo started"], check=True)
    print("ready", flush=True)
    time.sleep(60)
""")


def test_pid_1_buries_orphans_passes_signals_on_and_hands_back_the_exit_status() -> None:
    with subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c", PROGRAM],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as unshare:
        assert unshare.stdout is not None
        assert [unshare.stdout.readline().strip() for _ in range(2)] == ["started", "ready"]
        (init,) = below(unshare.pid)[:1]
        eventually(lambda: len(below(init)) == 1, within=20, what="only the worker itself; the orphan is buried")
        (worker,) = below(init)
        assert Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        os.kill(init, signal.SIGTERM)
        assert unshare.wait(10) == 7


def test_bad_configuration_is_one_clear_line_and_a_status() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ibfeed_worker"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert "environment variable IBFEED_SPEC is not set" in line


def test_its_memory_is_closed_to_its_user_and_to_core_files() -> None:
    program = "import ctypes, resource; from ibfeed_worker.runtime.processes import harden; harden()"
    ask = f"{program}; print(ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE))"  # PR_GET_DUMPABLE
    done = subprocess.run([sys.executable, "-c", ask], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "0 (0, 0)\n"
