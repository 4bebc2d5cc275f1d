"""Long-running processes: started detached, known by id and start time, so that a recycled id is never killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ibfeed_local.command import Arguments, tail
from ibfeed_local.problem import Problem
from ibfeed_local.state import State, write

MARK = "IBFEED_LOCAL_STATE"  # in the environment of all that we start, inherited by what that starts


@dataclass(frozen=True)
class Process:
    """A process that no other can be mistaken for."""

    pid: int
    started: int  # clock ticks after boot: field 22 of /proc/PID/stat

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The live process of this id; none if there is none, or if it only waits to be reaped."""
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = status[status.rindex(")") + 2 :].split()  # the name before it may hold blanks and brackets
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def kill(self, sign: signal.Signals) -> None:
        if self.alive():
            try:
                os.kill(self.pid, sign)
            except ProcessLookupError:
                return


def start(
    state: State, name: str, arguments: Arguments, *, folder: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Start a process that outlives this one, unless it runs. Its output goes to log/NAME.log."""
    if running(state, name):
        return
    log = state.log / f"{name}.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(environment or {}), MARK: str(state.root)},
            start_new_session=True,
        )
    process = Process.of(child.pid)
    if process is None:
        raise Problem(f"{name} ended as soon as it was started; {tail(log)}")
    write(_file(state, name), f"{process.pid} {process.started}\n")


def running(state: State, name: str) -> bool:
    """Whether the process that we started by this name is alive."""
    process = known(state, name)
    return process is not None and process.alive()


def require(state: State, *names: str) -> None:
    """Raise a problem with the end of its log if one of these has died."""
    for name in names:
        if not running(state, name):
            raise Problem(f"{name} has ended by itself; {tail(state.log / f'{name}.log')}")


def stop(state: State, name: str, patience: float) -> None:
    """End a process: politely, then, after so many seconds, by force."""
    process = known(state, name)
    if process is not None:
        end([process], patience)
    _file(state, name).unlink(missing_ok=True)


def end(processes: list[Process], patience: float) -> None:
    """End processes, together: politely, then, after so many seconds, by force."""
    for sign, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for process in processes:
            process.kill(sign)
        deadline = time.monotonic() + seconds
        while any(process.alive() for process in processes) and time.monotonic() < deadline:
            time.sleep(0.05)


def known(state: State, name: str) -> Process | None:
    """The process that we started by this name; it may have ended since."""
    try:
        pid, started = _file(state, name).read_text().split()
    except FileNotFoundError:
        return None
    return Process(int(pid), int(started))


def marked(state: State) -> list[Process]:
    """Every live process that carries our mark: what we started, and what that started in turn (containerd's shims)."""
    mark = f"{MARK}={state.root}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            ours = mark in (entry / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        process = Process.of(int(entry.name)) if ours else None
        if process is not None:
            found.append(process)
    return found


def _file(state: State, name: str) -> Path:
    return state.run / f"{name}.pid"
