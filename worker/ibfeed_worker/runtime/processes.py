"""Processes: hardening of our own, the trees below it, and PID 1's duty to reap orphans."""

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
    """Forbid core files, and other processes of our user to read our memory: both would hold the password."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Make orphans of our children our own children, so that ``descendants`` sees them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def start_time(pid: int) -> int | None:
    """Return the kernel's start time of a process, in ticks since boot.

    Together with the pid it names one process for ever.
    """
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def descendants(pid: int) -> list[int]:
    """Return the children, grandchildren and so on of a process, as of now."""
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
    """Send SIGKILL to a child and all below it.

    The child is ours and not yet reaped, so its pid can't be another process's.
    """
    for member in [*descendants(pid), pid]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(member, signal.SIGKILL)


def run_as_init() -> int | None:
    """As PID 1: fork, pass signals on to the child, and reap every orphan until the child ends. Return its exit status.

    Returns None in the child, and in a process that is not PID 1: these go on with the work. A separate process does
    this because ``waitpid(-1)`` would steal asyncio's own children.
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
