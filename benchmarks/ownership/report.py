"""The bars, the table, and the file that goes with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import bars
from bars import RESULTS, Bar, value_of
from ibfeed_local.kubernetes import kubernetes_version
from support.cluster import kubectl

__all__ = ["BARS", "RESULTS", "Bar", "met", "table", "value_of", "write"]

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


def table(results: Mapping[str, Any]) -> list[str]:
    """A line for each bar, measured or not."""
    return bars.table(BARS, results)


def met(results: Mapping[str, Any]) -> bool:
    """Whether no bar that was measured is missed."""
    return bars.met(BARS, results)


def write(results: Mapping[str, Any], path: Path) -> None:
    """Beside the results: the bars, the machine, the versions."""
    bars.write(BARS, results, {"kubernetes": kubernetes_version(), "images": _images()}, path)


def _images() -> dict[str, str]:
    """Their tags are digests of what went in."""
    operator_pod = json.loads(kubectl("get", "deployment", "ibfeed-operator", "-n", "ibfeed-system", "-o", "json"))
    container = operator_pod["spec"]["template"]["spec"]["containers"][0]
    worker = next(entry["value"] for entry in container["env"] if entry["name"] == "IBFEED_WORKER_IMAGE")
    return {name: image.rpartition("/")[2] for name, image in (("operator", container["image"]), ("worker", worker))}
