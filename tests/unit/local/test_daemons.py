from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ibfeed_local import daemons, processes
from ibfeed_local.problem import ProblemError
from ibfeed_local.processes import Process
from ibfeed_local.state import State, write


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state")
    state.prepare()
    yield state
    processes.end(daemons.marked(state), patience=1)


def test_a_daemon_is_started_once_and_ended(state: State) -> None:
    daemons.start(state, "sleeper", ["sleep", "60"], folder=state.run)
    first = daemons.known(state, "sleeper")
    daemons.start(state, "sleeper", ["sleep", "60"], folder=state.run)
    assert daemons.known(state, "sleeper") == first
    assert daemons.running(state, "sleeper")
    daemons.stop(state, "sleeper", patience=5)
    assert not daemons.running(state, "sleeper")
    assert first is not None
    assert not first.alive()


def test_a_process_that_will_not_end_is_ended(state: State) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    daemons.start(state, "stubborn", [sys.executable, "-c", stubborn], folder=state.run)
    deadline = time.monotonic() + 10
    while "up" not in (state.log / "stubborn.log").read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    daemons.stop(state, "stubborn", patience=0.2)
    assert not daemons.marked(state)


def test_a_recycled_process_id_is_never_touched(state: State) -> None:
    """The file names a process by id and start time; another process with this id is not ours."""
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            found = Process.of(other.pid)
            assert found is not None
            write(state.run / "kubelet.pid", f"{other.pid} {found.started - 1}\n")
            assert not daemons.running(state, "kubelet")
            daemons.stop(state, "kubelet", patience=0.1)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_process_whose_file_was_lost_is_found_by_its_mark(state: State) -> None:
    daemons.start(state, "sleeper", ["sleep", "60"], folder=state.run)
    process = daemons.known(state, "sleeper")
    (state.run / "sleeper.pid").unlink()
    assert daemons.marked(state) == [process]


def test_a_dead_daemon_is_told_with_the_end_of_its_log(state: State) -> None:
    daemons.start(state, "etcd", ["sh", "-c", "echo cannot bind; sleep 0.2; exit 1"], folder=state.run)
    deadline = time.monotonic() + 10
    while daemons.running(state, "etcd") and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(ProblemError, match=r"(?s)etcd has ended by itself.*cannot bind"):
        daemons.require(state, "etcd")


def test_this_process_is_alive_and_not_ours(state: State) -> None:
    this = Process.of(os.getpid())
    assert this is not None
    assert this.alive()
    assert this not in daemons.marked(state)
