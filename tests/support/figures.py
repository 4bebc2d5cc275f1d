"""Measured figures, each with the bar that it has to meet. They are printed at the end, and written if asked."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    measured: float
    bar: float
    unit: str
    note: str = ""

    @property
    def met(self) -> bool:
        return self.measured <= self.bar


class Figures:
    """The figures of one pytest session. Every bar here is an upper limit.

    ``strict``: a missed bar of seconds fails the test. It does where figures are asked for. Beside other work it would
    say nothing of the product, so there it is only shown.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._figures: list[Figure] = []

    def record(self, name: str, measured: float, *, bar: float, unit: str = "s", note: str = "") -> None:
        """Keep a figure, then fail the test if its bar is missed. So the table shows it in either case."""
        figure = Figure(name, round(measured, 3), bar, unit, note)
        self._figures.append(figure)
        assert figure.met or (unit == "s" and not self._strict), (
            f"{name}: {figure.measured:g} {unit}, bar {bar:g} {unit}"
        )

    def record_median(self, name: str, measured: Sequence[float], *, bar: float, unit: str = "s") -> None:
        spread = f"median of {len(measured)}, {min(measured):.2f} to {max(measured):.2f}"
        self.record(name, statistics.median(measured), bar=bar, unit=unit, note=spread)

    def table(self) -> list[str]:
        width = max((len(figure.name) for figure in self._figures), default=0)
        return [
            f"{f.name:<{width}} {f.measured:>9g} {f.unit:<3} bar {f.bar:>6g}  {_verdict(f)}  {f.note}".rstrip()
            for f in self._figures
        ]

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        machine = {
            "cpus": len(os.sched_getaffinity(0)),
            "kernel": platform.release(),
            "python": platform.python_version(),
        }
        document = {"machine": machine, "figures": [asdict(f) | {"met": f.met} for f in self._figures]}
        path.write_text(json.dumps(document, indent=2) + "\n")


def _verdict(figure: Figure) -> str:
    return "met" if figure.met else "MISSED"
