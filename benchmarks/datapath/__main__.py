"""``python -m datapath``, as `make bench-worker` runs it on the local machine.

PHASES=throughput,pace,...   what to measure (all)

Only a whole run writes ``benchmarks/results/worker.json``; others write ``worker-partial.json`` beside it.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

from confluent_kafka import KafkaException

import bars
from bars import RESULTS
from datapath import faulttable, logins, maintenance, pace, report, soak, stall, throughput
from ibfeed_local.progress import Progress, headline
from support.cluster import ROOT

WHOLE, PARTIAL = "worker.json", "worker-partial.json"
Say = Callable[[str], None]
# One module each, with one entry point that returns its keys of the results. Shorter ones first.
PHASES: Final[Mapping[str, Callable[[Say], Mapping[str, Any]]]] = {
    "throughput": throughput.measure,
    "pace": pace.measure,
    "stall": stall.measure,
    "login": logins.measure,
    "faults": faulttable.measure,
    "maintenance": maintenance.measure,
    "soak": soak.measure,
}


def main() -> int:
    """Exit code 0 if every phase ended and met its bars, 1 if not, 2 for a phase that is none."""
    phases = bars.phases_asked_for(tuple(PHASES))
    signal.signal(signal.SIGTERM, _interrupt)  # what was set up is taken down again
    results = measure(phases, Progress().report)
    path = RESULTS / (WHOLE if set(phases) == set(PHASES) else PARTIAL)
    report.write(results, path)
    headline(f"worker: {path.relative_to(ROOT)}")
    print("\n".join(report.table(results)))
    return 0 if report.met(results) and "failed" not in results else 1


def measure(phases: tuple[str, ...], say: Say) -> dict[str, Any]:
    """What a phase did not come to measure is missing in the results, and the others are measured all the same."""
    results: dict[str, Any] = {}
    for name in phases:
        headline(name)
        try:
            results |= PHASES[name](say)
        except (AssertionError, OSError, RuntimeError, KafkaException, ExceptionGroup) as error:
            say(f"FAILED {name}: {''.join(traceback.format_exception(error))}")
            results.setdefault("failed", []).append(f"{name}: {error}"[:500])
        report.write(results, RESULTS / PARTIAL)  # of a run that is cut short something is left
    return results


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
