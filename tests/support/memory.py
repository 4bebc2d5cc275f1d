"""A process's resident memory."""

from __future__ import annotations

from pathlib import Path


def resident_mb(pid: int | str = "self") -> tuple[float, float]:
    """Now, and the most that it ever was. (``ru_maxrss`` is no less than what its parent had when it was started.)"""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return int(values["VmRSS"].split()[0]) / 1024, int(values["VmHWM"].split()[0]) / 1024
