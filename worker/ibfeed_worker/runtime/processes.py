"""Child processes: hardening of our own, whole trees of theirs, and PID 1's duty to bury orphans."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_PROC: Final = Path("/proc")


def harden() -> None:
    """No core file, and no other process of our user may read our memory: both would hold the password."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Orphans of our children become our children, so that ``descendants`` sees them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def start_time(pid: int) -> int | None:
    """Kernel's start time of a process in ticks since boot; with the pid it names one process for ever."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def descendants(pid: int) -> list[int]:
    """Children, grandchildren … of a process, as of now."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children[parent].append(int(entry.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children[queue.pop()]
        found += below
        queue += below
    return found


def kill_tree(pid: int) -> None:
    """SIGKILL to a child and all below it. The child is ours and not yet reaped, so its pid can't be someone else's."""
    for member in [*descendants(pid), pid]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(member, signal.SIGKILL)


def run_as_init() -> int | None:
    """As PID 1: fork, pass signals on to the child and bury every orphan until the child ends; return its exit status.

    Returns None in the child, and in a process that is not PID 1: those go on with the work. A process of its own for
    this keeps ``waitpid(-1)`` apart from asyncio, whose own children it would steal.
    """
    if os.getpid() != 1:
        return None
    child = os.fork()
    if child == 0:
        return None

    def forward(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, forward)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
