"""``python -m ownership.plot``: docs/ownership.svg from the results of the last whole run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from support.cluster import ROOT
from svg import APART, BAR, DATA, DEPTH, LEFT, PANEL, TOP, document, frame, rule, text


def drawing(results: Mapping[str, Any]) -> str:
    """Left: each crash, from its first to its last contract. Right: pauses of all contracts over planned moves."""
    return document((*_crashes(results["crash_recovery_runs_s"]), *_silences(results["phased_silences"])))


def _crashes(runs: Sequence[Sequence[float]]) -> Iterator[str]:
    top = max(3.5, *(last for _, _, last in runs))

    def y(seconds: float) -> float:
        return TOP + DEPTH * (1 - seconds / top)

    yield text(LEFT, 20, "kill -9 of a worker: seconds until its contracts' next ticks", bold=True)
    yield from frame(LEFT, [(y(tick), f"{tick:g}") for tick in range(math.ceil(top))])
    yield from (rule(LEFT, y(limit), f"bar {name}") for limit, name in ((1.5, "p50"), (3.0, "p99")))
    pitch = PANEL / len(runs)
    for place, (first, middle, last) in enumerate(runs):
        x = LEFT + pitch * (place + 0.5)
        yield f'<path d="M{x:.1f} {y(first):.1f}V{y(last):.1f}" stroke="{DATA}" stroke-width="5" opacity="0.45"/>'
        yield f'<circle cx="{x:.1f}" cy="{y(middle):.1f}" r="3" fill="{DATA}"/>'
    yield text(LEFT, TOP + DEPTH + 22, f"{len(runs)} runs: first to last contract, the dot is the median", soft=True)


def _silences(counts: Mapping[str, int]) -> Iterator[str]:
    left, widest = LEFT + APART, max(1.4, *(float(length) + 0.1 for length in counts))
    decades = math.log10(max(counts.values())) + 0.3

    def x(seconds: float) -> float:
        return left + PANEL * seconds / widest

    def y(count: float) -> float:
        return TOP + DEPTH * (1 - math.log10(count * 2) / decades) if count else TOP + DEPTH

    yield text(left, 20, "planned moves, phased sessions: pauses between ticks", bold=True)
    yield from frame(left, [(y(10.0**power), f"{10**power:,}") for power in range(math.ceil(decades - 0.3))])
    for length, count in counts.items():
        wide = PANEL * 0.1 / widest - 1.5
        yield (
            f'<rect x="{x(float(length)):.1f}" y="{y(count):.1f}" width="{wide:.1f}"'
            f' height="{TOP + DEPTH - y(count):.1f}" fill="{DATA}" opacity="0.7"/>'
        )
    yield f'<path d="M{x(1.2):.1f} {TOP}V{TOP + DEPTH}" stroke="{BAR}" stroke-dasharray="4 3"/>'
    yield text(x(1.2) + 4, TOP + 12, "bar 1.2 s", colour=BAR)
    ticks = [tick * 0.2 for tick in range(int(widest / 0.2) + 1)]
    every = 1 if len(ticks) < 12 else 5
    yield from (text(x(tick) - 8, TOP + DEPTH + 14, f"{tick:.1f}") for tick in ticks[::every])
    yield text(left, TOP + DEPTH + 32, "seconds; how many of each length, logarithmic", soft=True)


if __name__ == "__main__":
    found = json.loads((ROOT / "benchmarks" / "results" / "ownership.json").read_text())
    (ROOT / "docs" / "ownership.svg").write_text(drawing(found))
