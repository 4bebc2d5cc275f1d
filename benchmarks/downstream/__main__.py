"""``python -m downstream``, as `make bench-downstream` runs it on the local machine.

PHASES=reader,latency,...   what to measure (all)
LATENCY_S=60 KILLS=10 FEED_ROUNDS=3 RECORDED_TICKS=400000 READER_ROUNDS=5   smaller ones try the benchmark itself

Only a whole run writes ``benchmarks/results/downstream.json``; others write ``downstream-partial.json`` beside it.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

from confluent_kafka import KafkaException
from redis.exceptions import RedisError

import bars
import ibfeed
from bars import RESULTS
from downstream import feed, latency, losses, order, reader_speed, recording, report
from ibfeed_local.progress import Progress, headline
from support.cluster import ROOT

WHOLE, PARTIAL = "downstream.json", "downstream-partial.json"
Say = Callable[[str], None]
# One module each, with one entry point that returns its keys of the results.
PHASES: Final[Mapping[str, Callable[[Say], Mapping[str, Any]]]] = {
    "reader": reader_speed.measure,
    "recording": recording.measure,
    "latency": latency.measure,
    "order": order.measure,
    "losses": losses.measure,
    "feed": feed.measure,
}


def main() -> int:
    """Exit code 0 if every phase ended and met its bars, 1 if not, 2 for a phase that is none."""
    phases = bars.phases_asked_for(tuple(PHASES))
    signal.signal(signal.SIGTERM, _interrupt)  # what was set up is taken down again
    results = measure(phases, Progress().report)
    path = RESULTS / (WHOLE if set(phases) == set(PHASES) else PARTIAL)
    report.write(results, path)
    headline(f"downstream: {path.relative_to(ROOT)}")
    print("\n".join(report.table(results)))
    return 0 if report.met(results) and "failed" not in results else 1


def measure(phases: tuple[str, ...], say: Say) -> dict[str, Any]:
    """What a phase did not come to measure is missing in the results, and the others are measured all the same."""
    results: dict[str, Any] = {}
    for name in phases:
        headline(name)
        try:
            results |= PHASES[name](say)
        except (AssertionError, OSError, RuntimeError, KafkaException, RedisError, ibfeed.Error) as error:
            say(f"FAILED {name}: {''.join(traceback.format_exception(error))}")
            results.setdefault("failed", []).append(f"{name}: {error}"[:500])
        report.write(results, RESULTS / PARTIAL)  # of a run that is cut short something is left
    return results


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
