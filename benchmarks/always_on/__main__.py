"""``python -m always_on``, as `make bench-always-on` runs it on the local cluster.

PHASES=partitions,away,long,flaps,alone,middle,standby   what to measure (all)
QUICK=1      20 s in place of 60 s and 600 s, and 4 deaths in place of 50: to try the benchmark itself

Only a whole run writes ``benchmarks/results/always-on.json``; others write ``always-on-partial.json`` beside it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any, Final

import bars
from always_on import partitions, standby
from always_on.report import BARS
from always_on.truth import GRACE_S, Monitor, untrue_contract_seconds
from bars import RESULTS
from ibfeed_local.kubernetes import kubernetes_version
from ibfeed_local.progress import Progress, headline
from ownership import faults, setting
from ownership.explain import show
from ownership.stage import Stage, stage
from ownership.verdict import delivery, longest_silence_s, zombies
from support import control_plane_faults
from support.cluster import ROOT, items, kubectl, main_process, owners
from support.network_faults import API_SERVER, dropped

PARTITIONS: Final = 300
_AFTER_S: Final = GRACE_S + 10.0  # in which whatever a fault left behind would show
WHOLE, PARTIAL = "always-on.json", "always-on-partial.json"
PHASES: Final = ("partitions", "away", "long", "flaps", "alone", "middle", "standby")
_SYSTEM: Final = "ibfeed-system"
_KILLS: Final = 50
_ON_ONE_STAGE: Final = {"away", "long", "flaps", "alone", "middle"}


@dataclass
class Sums:
    """Over all runs."""

    duplicated: int = 0
    zombies: int = 0
    logins: int = 0
    untrue: int = 0
    runs: list[dict[str, Any]] = field(default_factory=list)


def main() -> int:
    """Exit code 0 if every phase ended and met its bars, 1 if not, 2 for a phase that is none."""
    phases = bars.phases_asked_for(PHASES)
    quick = bool(os.environ.get("QUICK"))
    whole = set(phases) == set(PHASES) and not quick
    signal.signal(signal.SIGTERM, _interrupt)  # what was set up is taken down again
    results = _measure(phases, quick, Progress())
    path = RESULTS / (WHOLE if whole else PARTIAL)
    bars.write(BARS, results, {"kubernetes": kubernetes_version()}, path)
    headline(f"always on: {path.relative_to(ROOT)}")
    print("\n".join(bars.table(BARS, results)))
    return 0 if bars.met(BARS, results) and "failed" not in results else 1


def _measure(phases: tuple[str, ...], quick: bool, progress: Progress) -> dict[str, Any]:
    results: dict[str, Any] = {}
    sums = Sums()
    if "partitions" in phases:
        headline(f"{PARTITIONS} stories of a network that breaks at random, in virtual time")
        results |= partitions.explored(progress) | partitions.tell(PARTITIONS, progress)
    try:
        if on_stage := _ON_ONE_STAGE & set(phases):
            with stage("common", progress) as on:
                _control_plane_away(on, on_stage, quick, sums, progress, results)
            results |= {
                "api_away_duplicated": sums.duplicated,
                "zombie_writes": sums.zombies,
                "api_away_logins": sums.logins,
                "untrue_contract_seconds": sums.untrue,
                "runs": sums.runs,
            }
        if "standby" in phases:
            headline("workers die whose contracts are held ready by others")
            results |= standby.measure(4 if quick else _KILLS, progress)
    except (AssertionError, ExceptionGroup) as error:  # mostly what did not become true in time
        progress.report(f"FAILED: {''.join(traceback.format_exception(error))}")
        results["failed"] = [str(error)[:500]]
    return results


def _control_plane_away(
    on: Stage, phases: set[str], quick: bool, sums: Sums, progress: Progress, results: dict[str, Any]
) -> None:
    """Puts what is measured into ``results``, phase by phase: what was measured before a failure counts."""
    short_s, long_s = (20.0, 20.0) if quick else (60.0, 600.0)
    if "away" in phases:
        headline(f"the API server is away for {short_s:g} s")
        lost = [
            _run(on, f"API server {name}", lambda fault=fault: _within(fault, short_s), sums, progress)  # type: ignore[misc]
            for name, fault in control_plane_faults.FAULTS.items()
        ]
        results["api_away_60s_lost"] = sum(lost)
    if "long" in phases:
        headline(f"the API server is away for {long_s:g} s")
        away = control_plane_faults.FAULTS["stopped"]
        results["api_away_600s_lost"] = _run(on, "API server stopped", lambda: _within(away, long_s), sums, progress)
    if "flaps" in phases:
        headline("the API server comes and goes each 5 s")
        results["api_flaps_lost"] = _run(
            on, "API server flaps", lambda: control_plane_faults.flap(short_s), sums, progress
        )
        headline("the API server answers, but takes 10 s for it")
        slow = partial(control_plane_faults.flap, short_s, away_s=10.0, there_s=0.5)
        results["api_slow_lost"] = _run(on, "API server slow", slow, sums, progress)
    if "alone" in phases:
        headline("one worker is cut off from the API server")
        pod = f"{setting.FEED}-0"
        results["cut_off_alone_lost"] = _run(
            on, f"{pod} cut off", lambda: _within(lambda: faults.cut_off_alone(pod), short_s), sums, progress
        )
        headline("the operator is cut off from the API server")
        results["operator_cut_off_lost"] = _run(
            on, "operator cut off", lambda: _within(_operator_cut_off, short_s), sums, progress
        )
    if "middle" in phases:
        headline("something else happens while the API server is away")
        results |= _middle(on, short_s, sums, progress)


def _middle(on: Stage, short_s: float, sums: Sums, progress: Progress) -> dict[str, Any]:
    """A worker dies: its own contracts wait for the API server. The operator dies. A planned move has just begun."""

    def away(begun: Callable[[], Any], wait_s: float) -> Callable[[], None]:
        def fault() -> None:
            with control_plane_faults.FAULTS["stopped"]():
                time.sleep(wait_s)
                begun()
                time.sleep(short_s - wait_s)

        return fault

    def move() -> None:
        pod = f"{setting.FEED}-2"
        kubectl("annotate", "ibshard", pod, "-n", setting.NAMESPACE, "ibfeed.dev/drain=true")
        time.sleep(0.4)  # a hand-over takes one or two seconds
        away(lambda: None, 0.0)()
        kubectl("annotate", "ibshard", pod, "-n", setting.NAMESPACE, "ibfeed.dev/drain-")

    victim = f"{setting.FEED}-1"
    its = frozenset(conid for conid, worker in owners(on.feed()).items() if worker == victim)
    worker, operator = main_process(setting.NAMESPACE, victim), _operator()
    return {
        "death_while_away_others_lost": _run(
            on, f"{victim} dies", away(lambda: faults.kill(worker), short_s / 3), sums, progress, but=its
        ),
        "operator_death_while_away_lost": _run(
            on, "the operator dies", away(lambda: faults.kill(operator), short_s / 3), sums, progress
        ),
        "move_while_away_lost": _run(on, "a move has begun", move, sums, progress),
    }


def _operator() -> int:
    """The process of the operator that acts."""
    return main_process(_SYSTEM, _operator_pod(), container="operator")


def _operator_cut_off() -> AbstractContextManager[None]:
    return dropped(_operator_pod(), *API_SERVER, namespace=_SYSTEM, container="operator")


def _operator_pod() -> str:
    (pod,) = items("pods", _SYSTEM, "app.kubernetes.io/component=operator")
    name: str = pod["metadata"]["name"]
    return name


def _run(
    on: Stage,
    what: str,
    fault: Callable[[], None],
    sums: Sums,
    progress: Progress,
    *,
    but: frozenset[int] = frozenset(),
) -> int:
    """Return the updates that were lost in and after a fault, of all contracts ``but`` these."""
    logins = _logins(on)
    with on.watch() as watch, Monitor(setting.FEED, setting.NAMESPACE) as monitor:
        with progress.step(what) as step:
            begun = time.time()
            fault()
            changes = (begun, time.time())
            time.sleep(_AFTER_S)
            on.settle()
            evidence = watch.evidence()
            found = delivery(evidence.sent, evidence.written, evidence.window)
            lost = [update for update in found.lost if update.conid not in but]
            arrivals = {conid: [record.at_ms for record in records] for conid, records in evidence.written.items()}
            silence, _ = longest_silence_s(arrivals, evidence.window)
            again = _logins(on) - logins
            old = len(zombies(evidence.written))
            false = untrue_contract_seconds(monitor.samples, arrivals, on.conids, changes)
            step.result = (
                f"{len(lost)} of {found.expected} lost, longest silence {silence:.1f} s, {again} logins,"
                f" {false} untrue contract-seconds of {len(monitor.samples)} looks"
            )
        show(found, evidence, progress)
    sums.duplicated += len(found.duplicated)
    sums.zombies += old
    sums.logins += again if not but else 0  # the worker that died logs in again
    sums.untrue += false
    sums.runs.append(
        {
            "fault": what,
            "updates": found.expected,
            "lost": len(lost),
            "duplicated": len(found.duplicated),
            "longest_silence_s": round(silence, 1),
            "logins": again,
            "untrue_contract_seconds": false,
            "looks": len(monitor.samples),
        }
    )
    return len(lost)


def _within(fault: Callable[[], Any], seconds: float) -> None:
    with fault():
        time.sleep(seconds)


def _logins(on: Stage) -> int:
    return sum(int(user["logins"]) for user in on.venue.state()["users"].values())


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


sys.exit(main())
