"""Hot standbys: what a death costs with them, and what they cost."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from ibfeed_local.progress import Progress
from ownership import setting
from ownership.setting import Sizes
from ownership.stage import Stage, stage
from ownership.unplanned import Aftermath, crashes
from support.cluster import kubectl, main_process
from support.memory import resident_mb
from support.worker import below

_COST_S: Final = 60.0  # so long do hot standbys hold what comes
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def measure(kills: int, progress: Progress) -> dict[str, Any]:
    """Kill workers of a feed whose contracts are all held ready: ``kills`` in the common mode, half as many phased."""
    aftermath = Aftermath()
    with stage("common", progress) as on:
        costs = _costs(on, progress)
        common = crashes(on, Sizes(crashes=kills), progress, aftermath)
    with stage("phased", progress) as on:
        _ask_for_standbys(on)
        phased = crashes(on, Sizes(crashes=kills // 2), progress, Aftermath())
    return {
        "crash_hot_lost": aftermath.lost,
        "crash_hot_duplicated": aftermath.duplicated,
        "crash_hot_kills": common["crash_runs"],
        "crash_hot_recovery_s": common["crash_recovery_s"],
        "crash_hot_pause_s": phased["crash_recovery_s"],
        **costs,
    }


def _costs(on: Stage, progress: Progress) -> dict[str, Any]:
    """What one standby for each contract adds to a worker, of the middle one of the workers."""
    with progress.step("workers without standbys") as step:
        alone = _usage()
        step.result = _told(alone)
    _ask_for_standbys(on)
    time.sleep(_COST_S)  # until they hold as much as they ever do
    with progress.step("workers with a standby for each contract") as step:
        both = _usage()
        step.result = _told(both)
    pairs = list(zip(alone, both, strict=True))
    return {
        "standby_cpu_ratio": round(median(after / before for (before, _), (after, _) in pairs), 2),
        "standby_mb": round(median(after - before for (_, before), (_, after) in pairs), 1),
        "standby_worker_cpu": [round(share, 4) for share, _ in alone],
        "standby_worker_cpu_with": [round(share, 4) for share, _ in both],
    }


def _ask_for_standbys(on: Stage) -> None:
    patch = json.dumps({"spec": {"standby": "Hot"}})
    kubectl("patch", "ibfeed", setting.FEED, "-n", setting.NAMESPACE, "--type=merge", "-p", patch)
    time.sleep(2.0)  # until the status is about it
    on.settle()


def _usage() -> list[tuple[float, float]]:
    """Share of a core, and resident memory (MB), of each worker's own process."""
    workers = [_worker(f"{setting.FEED}-{index}") for index in range(setting.WORKERS)]
    began, before = time.monotonic(), [_cpu_s(pid) for pid in workers]
    time.sleep(_COST_S)
    spent = time.monotonic() - began
    return [((_cpu_s(pid) - cpu) / spent, resident_mb(pid)[0]) for pid, cpu in zip(workers, before, strict=True)]


def _worker(pod: str) -> int:
    """The process that streams: the container's first one has started it, and reaps (ADR 8)."""
    command = b"python\0-m\0ibfeed_worker\0"
    processes = below(main_process(setting.NAMESPACE, pod))
    return next(pid for pid in processes if Path(f"/proc/{pid}/cmdline").read_bytes() == command)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _told(usage: list[tuple[float, float]]) -> str:
    return f"{median(cpu for cpu, _ in usage):.1%} of a core, {median(mb for _, mb in usage):.1f} MB"
