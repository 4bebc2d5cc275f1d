"""Long-running processes: started detached, known by id and start time, so that a recycled id is never killed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ibfeed_local.command import RUN, Arguments, tail
from ibfeed_local.problem import ProblemError
from ibfeed_local.processes import Process, carrying, end
from ibfeed_local.state import State, write

MARK = "IBFEED_LOCAL_STATE"  # in the environment of each process that we start; its children inherit it


def start(
    state: State, name: str, arguments: Arguments, *, folder: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Start a process that outlives this one. Do nothing if it runs already. Its output goes to log/NAME.log."""
    if running(state, name):
        return
    log = state.log / f"{name}.log"
    # A test may start a daemon of the cluster again. It must outlive that run, so it may not carry the run's mark.
    inherited = {variable: value for variable, value in os.environ.items() if variable != RUN}
    with log.open("wb") as out:
        child = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**inherited, **(environment or {}), MARK: str(state.root)},
            start_new_session=True,
        )
    process = Process.of(child.pid)
    if process is None:
        raise ProblemError(f"{name} ended as soon as it was started; {tail(log)}")
    write(_file(state, name), f"{process.pid} {process.started}\n")


def running(state: State, name: str) -> bool:
    """Whether the process that we started by this name is alive."""
    process = known(state, name)
    return process is not None and process.alive()


def require(state: State, *names: str) -> None:
    """Raise Problem with the end of its log if one of these has died."""
    for name in names:
        if not running(state, name):
            raise ProblemError(f"{name} has ended by itself; {tail(state.log / f'{name}.log')}")


def stop(state: State, name: str, patience: float) -> None:
    """End a process: politely, then, after so many seconds, by force."""
    process = known(state, name)
    if process is not None:
        end([process], patience)
    _file(state, name).unlink(missing_ok=True)


def known(state: State, name: str) -> Process | None:
    """Return the process that we started by this name. It may have ended since."""
    try:
        pid, started = _file(state, name).read_text().split()
    except FileNotFoundError:
        return None
    return Process(int(pid), int(started))


def marked(state: State) -> list[Process]:
    """Return every live process that carries our mark: ours and their children, such as containerd's shims."""
    return carrying(MARK, str(state.root))


def _file(state: State, name: str) -> Path:
    return state.run / f"{name}.pid"
