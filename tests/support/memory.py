"""A process's resident memory."""

from __future__ import annotations

from pathlib import Path


def resident_mb(pid: int | str = "self") -> tuple[float, float]:
    """Return the present and the highest memory in MB.

    ``ru_maxrss`` does not serve, as it is at least that of the parent when the process was started.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return int(values["VmRSS"].split()[0]) / 1024, int(values["VmHWM"].split()[0]) / 1024
