"""A run that a signal ends early: what it started ends with it, and the exit code names the signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ibfeed_local import daemons
from ibfeed_local.command import RUN
from ibfeed_local.processes import Process
from ibfeed_local.state import SOURCE, State

# The process of a `make` target, with a verb of the test's own.
TARGET = """
import sys
from pathlib import Path
from ibfeed_local import command, verbs
def together(program, other):
    with command.beside(program, Path("log")) as ended:
        return command.attached(other) or ended()
verbs.VERBS["lint"] = lambda state: {call}
sys.exit(verbs.main(["lint"]))
"""
# A program that undoes what it set up, and that leaves behind a process in a session of its own.
TIDY = """
import subprocess, sys, time
from pathlib import Path
left = subprocess.Popen(["sleep", "60"], start_new_session=True)
Path("started").write_text(str(left.pid))
try:
    time.sleep(60)
finally:
    Path("undone").touch()
"""
STUBBORN = """
import os, signal, time
from pathlib import Path
for sign in (signal.SIGINT, signal.SIGTERM):
    signal.signal(sign, signal.SIG_IGN)
Path("started").write_text(str(os.getpid()))
time.sleep(60)
"""


def _without_nohup() -> None:
    """The tests themselves may run under ``nohup``."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def target(call: str, folder: Path, before: Callable[[], object] = _without_nohup) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE / "local"), "IBFEED_STATE": str(folder / "state")}
    process = subprocess.Popen(
        [sys.executable, "-c", TARGET.format(call=call)],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=before,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def attached(program: str) -> str:
    return f"command.attached([sys.executable, '-c', {program!r}], folder=Path.cwd())"


def two_together(program: str, other: str) -> str:
    """``other`` runs attached, ``program`` beside it."""
    return f"together([sys.executable, '-c', {program!r}], [sys.executable, '-c', {other!r}])"


def started(folder: Path) -> Process:
    """The process whose id the program has written."""
    deadline = time.monotonic() + 10
    file = folder / "started"
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline, "it never started"
        time.sleep(0.02)
    process = Process.of(int(file.read_text()))
    assert process is not None
    return process


@pytest.mark.parametrize(
    ("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda value: str(value)
)
def test_signal_to_the_process_alone_ends_all_it_started(sign: signal.Signals, code: int, tmp_path: Path) -> None:
    with target(attached(TIDY), tmp_path) as process:
        left = started(tmp_path)
        process.send_signal(sign)
        _, said = process.communicate(timeout=20)
    assert process.returncode == code
    assert "interrupted" in said
    assert (tmp_path / "undone").exists()
    assert not left.alive()


def test_a_program_beside_another_is_interrupted_with_it(tmp_path: Path) -> None:
    with target(two_together(TIDY, "import time; time.sleep(60)"), tmp_path) as process:
        left = started(tmp_path)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 143
    assert (tmp_path / "undone").exists()
    assert not left.alive()


def test_a_program_beside_another_is_waited_for_and_writes_to_its_log(tmp_path: Path) -> None:
    slow = "import sys, time; time.sleep(0.5); print('said'); sys.exit(7)"
    with target(two_together(slow, "pass"), tmp_path) as process:
        process.communicate(timeout=20)
    assert process.returncode == 7
    assert (tmp_path / "log").read_text() == "said\n"


def test_background_job_is_interrupted_though_its_shell_ignores(tmp_path: Path) -> None:
    """A shell without job control starts `make test &` with SIGINT ignored."""
    with target(attached(TIDY), tmp_path, lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as process:
        left = started(tmp_path)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert (tmp_path / "undone").exists()
    assert not left.alive()


def test_second_signal_ends_a_program_that_will_not_end(tmp_path: Path) -> None:
    with target(attached(STUBBORN), tmp_path) as process:
        stubborn = started(tmp_path)
        process.send_signal(signal.SIGINT)
        time.sleep(0.6)
        assert stubborn.alive()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 130
    assert not stubborn.alive()


def test_interrupted_step_ends_its_program_and_what_that_started(tmp_path: Path) -> None:
    call = "command.run(['sh', '-c', 'sleep 60 & echo $! > started; wait'], Path('log'))"
    with target(call, tmp_path) as process:
        left = started(tmp_path)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == 143
    assert not left.alive()


def test_nothing_outlives_a_program_that_ended_by_itself(tmp_path: Path) -> None:
    with target(attached(TIDY.replace("time.sleep(60)", "time.sleep(0.5)")), tmp_path) as process:
        left = started(tmp_path)
        process.communicate(timeout=10)
    assert process.returncode == 0
    assert not left.alive()


def test_daemon_started_by_a_run_does_not_carry_its_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN, "1-1")
    state = State(tmp_path / "state")
    state.prepare()
    daemons.start(state, "sleeper", ["sleep", "60"], folder=state.run)
    try:
        process = daemons.known(state, "sleeper")
        assert process is not None
        deadline = time.monotonic() + 10
        while process not in daemons.marked(state):  # the kernel shows no environment while a program is being loaded
            assert time.monotonic() < deadline
        environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        assert f"{RUN}=1-1".encode() not in environment
    finally:
        daemons.stop(state, "sleeper", patience=1)
