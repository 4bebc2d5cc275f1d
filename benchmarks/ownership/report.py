"""The table, and the file that goes with it."""

from __future__ import annotations

import json
import operator
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ibfeed_local.kubernetes import kubernetes_version
from support.cluster import ROOT, kubectl

RESULTS: Final = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True)
class Bar:
    """What a key of the results has to reach. ``key`` may name a nested value: ``crash_recovery_s.p50``."""

    key: str
    sign: str
    limit: float
    what: str

    def met(self, value: float) -> bool:
        compare: dict[str, Callable[[float, float], bool]] = {"≥": operator.ge, "≤": operator.le}
        return compare[self.sign](value, self.limit)


BARS: Final = (
    Bar("planned_moves", "≥", 300, "contracts moved: scaling, drains, rolling update, pins"),
    Bar("planned_lost", "≤", 0, "updates"),
    Bar("planned_duplicated", "≤", 0, "updates"),
    Bar("planned_disordered", "≤", 0, "records"),
    Bar("phased_max_silence_s", "≤", 1.2, "of a contract, over the same moves"),
    Bar("crash_recovery_s.p50", "≤", 1.5, "kill -9, until each contract's next tick"),
    Bar("crash_recovery_s.p99", "≤", 3, ""),
    Bar("hung_recovery_s.p99", "≤", 13, "SIGSTOP; API server cut off"),
    Bar("unreported_gap_updates", "≤", 0, "updates missing and in no gap record"),
    Bar("zombie_writes", "≤", 0, "records of an epoch that was over"),
    Bar("operator_down_lost", "≤", 0, "updates"),
    Bar("plan_ms_10k_200", "≤", 50, "10,000 contracts, 200 workers, one join"),
    Bar("converge_s_200", "≤", 3, "one of 200 workers dies"),
    Bar("writes_per_death", "≤", 450, "API writes for that"),
    Bar("operator_rss_mb", "≤", 150, "at that size"),
)


def value_of(results: Mapping[str, Any], key: str) -> float | None:
    """None if the phase that measures it was not run."""
    found: Any = results
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return None if found is None else float(found)


def table(results: Mapping[str, Any]) -> list[str]:
    """A line for each bar, measured or not."""
    width = max(len(bar.key) for bar in BARS)
    lines = []
    for bar in BARS:
        value = value_of(results, bar.key)
        shown = "-" if value is None else f"{value:g}"
        verdict = "not measured" if value is None else "met" if bar.met(value) else "MISSED"
        lines.append(
            f"{bar.key:<{width}} {shown:>9}  bar {bar.sign} {bar.limit:<4g} {verdict:<12}  {bar.what}".rstrip()
        )
    return lines


def met(results: Mapping[str, Any]) -> bool:
    """Whether no bar that was measured is missed."""
    measured = ((bar, value_of(results, bar.key)) for bar in BARS)
    return all(bar.met(value) for bar, value in measured if value is not None)


def write(results: Mapping[str, Any], path: Path) -> None:
    """Beside the results: the bars, the machine, the versions."""
    document = {
        **results,
        "bars": {bar.key: f"{bar.sign} {bar.limit:g}" for bar in BARS},
        "missed": [b.key for b in BARS if (value := value_of(results, b.key)) is not None and not b.met(value)],
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "architecture": platform.machine(),
            "kernel": platform.release(),
        },
        "versions": {
            "kubernetes": kubernetes_version(),
            "python": platform.python_version(),
            "images": _images(),
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _images() -> dict[str, str]:
    """Their tags are digests of what went in."""
    operator_pod = json.loads(kubectl("get", "deployment", "ibfeed-operator", "-n", "ibfeed-system", "-o", "json"))
    container = operator_pod["spec"]["template"]["spec"]["containers"][0]
    worker = next(entry["value"] for entry in container["env"] if entry["name"] == "IBFEED_WORKER_IMAGE")
    return {"operator": container["image"], "worker": worker}
