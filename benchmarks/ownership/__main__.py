"""``python -m ownership``, as `make bench-ownership` runs it on the local cluster.

PHASES=planned,crash,hung,away,phased,scale   what to measure (all)
QUICK=1                                       few runs, the operator away for 30 s: to try the benchmark itself

Only a whole run writes ``benchmarks/results/ownership.json``; others write ``ownership-partial.json`` beside it.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import bars
from ibfeed_local.progress import Progress, headline
from ownership import planned, report, scale
from ownership.away import away
from ownership.setting import FULL, QUICK, Sizes
from ownership.stage import stage
from ownership.unplanned import Aftermath, crashes, hung
from support.cluster import ROOT

WHOLE, PARTIAL = "ownership.json", "ownership-partial.json"
PHASES: Final = ("planned", "crash", "hung", "away", "phased", "scale")


def main() -> int:
    """Exit code 0 if every phase ended and met its bars, 1 if not, 2 for a phase that is none."""
    phases = bars.phases_asked_for(PHASES)
    quick = bool(os.environ.get("QUICK"))
    whole = set(phases) == set(PHASES) and not quick
    signal.signal(signal.SIGTERM, _interrupt)  # what was set up is taken down again
    results = measure(phases, QUICK if quick else FULL, Progress())
    path = report.RESULTS / (WHOLE if whole else PARTIAL)
    report.write(results, path)
    headline(f"ownership: {path.relative_to(ROOT)}")
    print("\n".join(report.table(results)))
    return 0 if report.met(results) and "failed" not in results else 1


def measure(phases: tuple[str, ...], sizes: Sizes, progress: Progress) -> dict[str, Any]:
    """One stage for all that the common mode proves, another one for the phased mode; the scale needs none.

    What a phase did not come to measure is missing in the results, and the others are measured all the same.
    """
    results: dict[str, Any] = {}
    aftermath = Aftermath()

    @contextmanager
    def phase(title: str) -> Iterator[None]:
        headline(title)
        try:
            yield
        except (AssertionError, ExceptionGroup) as error:  # mostly what did not become true in time
            progress.report(f"FAILED {title}: {''.join(traceback.format_exception(error))}")
            results.setdefault("failed", []).append(f"{title}: {error}"[:500])
        report.write(results, report.RESULTS / PARTIAL)  # of a run that is cut short something is left

    if {"planned", "crash", "hung", "away"} & set(phases):
        with phase("common mode"), stage("common", progress) as on:
            if "planned" in phases:
                with phase("planned moves"):
                    results |= planned.common(on, sizes, progress)
            if "crash" in phases:
                with phase("crashes"):
                    results |= crashes(on, sizes, progress, aftermath)
            if "hung" in phases:
                with phase("hung and cut-off workers"):
                    results |= hung(on, sizes, progress, aftermath)
            if "away" in phases:
                with phase("the operator is away"):
                    results |= away(on, sizes, progress)
    unplanned = {"crash": "crash_recovery_s", "hung": "hung_recovery_s"}
    if (due := [key for name, key in unplanned.items() if name in phases]) and all(key in results for key in due):
        results |= aftermath.results()
    if "phased" in phases:
        with phase("phased mode"):
            results |= planned.phased(sizes, progress)
    if "scale" in phases:
        with phase("200 workers, 10,000 contracts"):
            results |= scale.measure(progress.report)
    return results


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


sys.exit(main())
