"""The gateway that an earlier process of this worker may have left on its port.

A container that dies takes all its processes along, so this matters where workers run without one. Only a process that
we noted down ourselves, by pid and start time, is killed. Any other process keeps the port.
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Final

from ibfeed_worker.runtime.processes import kill_tree, start_time

_LIMIT: Final = 3.0  # seconds for the kernel to free the port


class PortTakenError(Exception):
    """Another process listens on the gateway's port."""


def note(path: Path, pid: int) -> None:
    """Remember a gateway that we started."""
    path.write_text(json.dumps({"pid": pid, "start": start_time(pid)}))


def free(path: Path, port: int) -> None:
    """Kill our own leftover, if there is one. Blocking. Raises PortTakenError if the port is not free then."""
    pid = _leftover(path)
    if pid is not None:
        kill_tree(pid)
    path.unlink(missing_ok=True)
    deadline = time.monotonic() + (_LIMIT if pid is not None else 0.0)
    while not _is_free(port):
        if time.monotonic() > deadline:
            raise PortTakenError(f"port {port} is in use by another process: nothing else may run in the worker's pod")
        time.sleep(0.05)


def _leftover(path: Path) -> int | None:
    try:
        noted = json.loads(path.read_text())
        pid, start = int(noted["pid"]), int(noted["start"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if start_time(pid) == start else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
