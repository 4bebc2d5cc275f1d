"""Workers that die, hang or are cut off: how long until others go on, and whether what is missing is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from ibfeed_local.progress import Progress
from ownership import faults, setting
from ownership.evidence import Evidence, Watch
from ownership.explain import around
from ownership.setting import Sizes
from ownership.stage import Stage
from ownership.verdict import delivery, inexact, next_ticks_s, quantile, unreported, zombies
from support.cluster import eventually, kubectl, main_process

_PATIENCE_S: Final = 60.0
_HANG_S: Final = 30.0
_AWAKE_S: Final = 10.0  # in which a zombie would write


@dataclass
class Recoveries:
    """Seconds from a fault to the next tick on Kafka: of each contract, and of the slowest one of each run.

    A contract that did not go on in ``_PATIENCE_S`` counts with that.
    """

    contracts: list[float] = field(default_factory=list)
    runs: list[float] = field(default_factory=list)
    spreads: list[tuple[float, float, float]] = field(default_factory=list)  # of each run: first, middle, last contract

    def add(self, watch: Watch, epochs: dict[int, int], moment: float) -> str:
        """Wait until all contracts, with their epochs before, have gone on; says how it went."""
        deadline = time.monotonic() + _PATIENCE_S
        while len(found := next_ticks_s(watch.written(), epochs, moment * 1000)) < len(epochs):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        taken = [found.get(conid, _PATIENCE_S) for conid in epochs]
        self.contracts += taken
        self.runs.append(max(taken))
        self.spreads.append((round(min(taken), 3), _rounded(taken, 0.5), round(max(taken), 3)))
        return f"{self.runs[-1]:.2f} s until {len(found)} of {len(epochs)} contracts went on"


@dataclass
class Aftermath:
    """Summed up over all runs with something unplanned."""

    lost: int = 0
    unreported: int = 0
    duplicated: int = 0
    disordered: int = 0
    gaps: int = 0
    inexact_gaps: int = 0
    zombies: int = 0

    def add(self, evidence: Evidence, progress: Progress) -> None:
        found = delivery(evidence.sent, evidence.written, evidence.window)
        hidden = unreported(found.lost, evidence.written, evidence.gaps)
        late = zombies(evidence.written)
        self.lost += len(found.lost)
        self.unreported += len(hidden)
        self.duplicated += len(found.duplicated) + len(found.unknown)
        self.disordered += len(found.disordered)
        self.gaps += len(evidence.gaps)
        self.inexact_gaps += len(inexact(evidence.gaps, evidence.written))
        self.zombies += len(late)
        progress.report(
            f"{found.expected} updates sent: {len(found.lost)} not on Kafka, {len(hidden)} of them in no gap record;"
            f" {len(found.duplicated)} twice; {len(late)} of an epoch that was over"
        )
        for what, which in (("in no gap", hidden), ("twice", found.duplicated), ("zombie", late)):
            for line in around(what, which, evidence):
                progress.report(line)

    def results(self) -> dict[str, Any]:
        return {
            "unreported_gap_updates": self.unreported,
            "zombie_writes": self.zombies,
            "unplanned_lost": self.lost,
            "unplanned_duplicated": self.duplicated,
            "unplanned_disordered": self.disordered,
            "unplanned_gaps": self.gaps,
            "unplanned_gaps_inexact": self.inexact_gaps,
        }


def crashes(on: Stage, sizes: Sizes, progress: Progress, aftermath: Aftermath) -> dict[str, Any]:
    """`kill -9` of a worker's container, over and over."""
    recoveries = Recoveries()
    with on.watch() as watch:
        for run in range(sizes.crashes):
            pod = f"{setting.FEED}-{run % setting.WORKERS}"
            with progress.step(f"kill -9 of {pod}, {run + 1} of {sizes.crashes}") as step:
                epochs, pid = _held(watch, pod), main_process(setting.NAMESPACE, pod)
                moment = time.time()
                faults.kill(pid)
                step.result = recoveries.add(watch, epochs, moment)
                # The kubelet starts a container that dies over and over later and later: not what is measured.
                kubectl("delete", "pod", pod, "-n", setting.NAMESPACE, "--wait=true")
                on.settle()
        aftermath.add(watch.evidence(), progress)
    return {
        "crash_recovery_s": {"p50": _rounded(recoveries.runs, 0.5), "p99": _rounded(recoveries.runs, 0.99)},
        "crash_runs": len(recoveries.runs),
        "crash_recovery_by_contract_s": {
            "p50": _rounded(recoveries.contracts, 0.5),
            "p99": _rounded(recoveries.contracts, 0.99),
        },
        "crash_recovery_runs_s": recoveries.spreads,
    }


def hung(on: Stage, sizes: Sizes, progress: Progress, aftermath: Aftermath) -> dict[str, Any]:
    """A worker that is stopped and continued, and one that does not reach the API server for a while."""
    recoveries = {
        name: _hung(name, fault, on, sizes.hung, progress, aftermath)
        for name, fault in (("SIGSTOP", faults.stopped), ("API server cut off", faults.cut_off))
    }
    together = [value for found in recoveries.values() for value in found.runs]
    return {
        "hung_recovery_s": {"p99": _rounded(together, 0.99)},
        "hung_runs": len(together),
        "hung_recovery_runs_s": {name: found.spreads for name, found in recoveries.items()},
    }


def _hung(
    name: str,
    fault: Callable[[str], AbstractContextManager[None]],
    on: Stage,
    runs: int,
    progress: Progress,
    aftermath: Aftermath,
) -> Recoveries:
    recoveries = Recoveries()
    with on.watch() as watch:
        for run in range(runs):
            pod = f"{setting.FEED}-{run % setting.WORKERS}"
            with progress.step(f"{name}, {pod}, {run + 1} of {runs}") as step:
                epochs = _held(watch, pod)
                moment = time.time()
                with fault(pod):
                    step.result = recoveries.add(watch, epochs, moment)
                    time.sleep(max(0.0, moment + _HANG_S - time.time()))
                time.sleep(_AWAKE_S)
                on.settle()
        aftermath.add(watch.evidence(), progress)
    return recoveries


def _held(watch: Watch, pod: str) -> dict[int, int]:
    """Conid -> epoch of its last record, of the contracts that this worker published last."""
    eventually(lambda: len(watch.written()) == setting.CONTRACTS, within=30, what="a record of every contract")
    latest = {conid: records[-1] for conid, records in watch.written().items()}
    return {conid: record.epoch for conid, record in latest.items() if record.worker == pod}


def _rounded(values: list[float], part: float) -> float:
    return round(quantile(values, part), 3)
