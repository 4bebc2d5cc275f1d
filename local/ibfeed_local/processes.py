"""Processes of this machine: known by id and start time, found by a variable of their environment, ended together."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for another one, even when its id is given out again."""

    pid: int
    started: int  # clock ticks after boot: field 22 of /proc/PID/stat

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the live process of this id. None: there is none, or it only waits to be reaped."""
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = status[status.rindex(")") + 2 :].split()  # the name in field 2 may hold blanks and brackets
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def kill(self, sign: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.alive():
            try:
                os.kill(self.pid, sign)
            except ProcessLookupError:
                return


def end(processes: list[Process], patience: float) -> None:
    """End processes together: politely, then, after so many seconds, by force."""
    for sign, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for process in processes:
            process.kill(sign)
        deadline = time.monotonic() + seconds
        while any(process.alive() for process in processes) and time.monotonic() < deadline:
            time.sleep(0.05)


def carrying(variable: str, value: str) -> list[Process]:
    """Return every live process that was started with this value of a variable in its environment."""
    mark = f"{variable}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            carries = mark in (entry / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        process = Process.of(int(entry.name)) if carries else None
        if process is not None:
            found.append(process)
    return found
