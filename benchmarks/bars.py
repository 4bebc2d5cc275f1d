"""What a benchmark has to reach, and how results are shown and written. What was not measured is never passed."""

from __future__ import annotations

import json
import operator
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from support.cluster import ROOT

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


def phases_asked_for(all_phases: Sequence[str]) -> tuple[str, ...]:
    """Return the phases that PHASES names, all if it names none. Ends the process with 2 for a phase that is none."""
    asked = tuple(name for name in os.environ.get("PHASES", "").split(",") if name) or tuple(all_phases)
    if unknown := set(asked) - set(all_phases):
        print(f"PHASES: {', '.join(sorted(unknown))} is none of {', '.join(all_phases)}", file=sys.stderr)
        sys.exit(2)
    return asked


def value_of(results: Mapping[str, Any], key: str) -> float | None:
    """None if the phase that measures it was not run."""
    found: Any = results
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return None if found is None else float(found)


def table(bars: Sequence[Bar], results: Mapping[str, Any]) -> list[str]:
    """A line for each bar, measured or not."""
    width = max(len(bar.key) for bar in bars)
    lines = []
    for bar in bars:
        value = value_of(results, bar.key)
        shown = "-" if value is None else f"{value:g}"
        verdict = "not measured" if value is None else "met" if bar.met(value) else "MISSED"
        lines.append(
            f"{bar.key:<{width}} {shown:>9}  bar {bar.sign} {bar.limit:<6g} {verdict:<12}  {bar.what}".rstrip()
        )
    return lines


def met(bars: Sequence[Bar], results: Mapping[str, Any]) -> bool:
    """Whether no bar that was measured is missed."""
    measured = ((bar, value_of(results, bar.key)) for bar in bars)
    return all(bar.met(value) for bar, value in measured if value is not None)


def write(bars: Sequence[Bar], results: Mapping[str, Any], versions: Mapping[str, Any], path: Path) -> None:
    """Beside the results: the bars, the machine, the versions."""
    document = {
        **results,
        "bars": {bar.key: f"{bar.sign} {bar.limit:g}" for bar in bars},
        "missed": [b.key for b in bars if (value := value_of(results, b.key)) is not None and not b.met(value)],
        "not_measured": [bar.key for bar in bars if value_of(results, bar.key) is None],
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "architecture": platform.machine(),
            "kernel": platform.release(),
        },
        "versions": {"python": platform.python_version(), **versions},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
