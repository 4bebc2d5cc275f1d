"""``python -m ownership.plot``: docs/ownership.svg from the results of the last whole run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from support.cluster import ROOT

_WIDTH, _HEIGHT = 860, 300
_LEFT, _TOP, _PANEL, _DEPTH = 50, 46, 340, 200  # of the first panel; the second one begins _APART further right
_APART: Final = 430
_INK, _SOFT, _DATA, _BAR = "#24292f", "#8c959f", "#0969da", "#cf222e"


def drawing(results: Mapping[str, Any]) -> str:
    """Left: each crash, from its first to its last contract. Right: pauses of all contracts over planned moves."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
    ground = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
    parts = (*_crashes(results["crash_recovery_runs_s"]), *_silences(results["phased_silences"]))
    return "\n".join((f'{head} font-size="12" fill="{_INK}">', ground, *parts, "</svg>\n"))


def _crashes(runs: Sequence[Sequence[float]]) -> Iterator[str]:
    top = max(3.5, *(last for _, _, last in runs))

    def y(seconds: float) -> float:
        return _TOP + _DEPTH * (1 - seconds / top)

    yield _text(_LEFT, 20, "kill -9 of a worker: seconds until its contracts' next ticks", bold=True)
    yield from _frame(_LEFT, [(y(tick), f"{tick:g}") for tick in range(math.ceil(top))])
    yield from (_rule(_LEFT, y(limit), f"bar {name}") for limit, name in ((1.5, "p50"), (3.0, "p99")))
    pitch = _PANEL / len(runs)
    for place, (first, middle, last) in enumerate(runs):
        x = _LEFT + pitch * (place + 0.5)
        yield f'<path d="M{x:.1f} {y(first):.1f}V{y(last):.1f}" stroke="{_DATA}" stroke-width="5" opacity="0.45"/>'
        yield f'<circle cx="{x:.1f}" cy="{y(middle):.1f}" r="3" fill="{_DATA}"/>'
    yield _text(
        _LEFT, _TOP + _DEPTH + 22, f"{len(runs)} runs: first to last contract, the dot is the median", soft=True
    )


def _silences(counts: Mapping[str, int]) -> Iterator[str]:
    left, widest = _LEFT + _APART, max(1.4, *(float(length) + 0.1 for length in counts))
    decades = math.log10(max(counts.values())) + 0.3

    def x(seconds: float) -> float:
        return left + _PANEL * seconds / widest

    def y(count: float) -> float:
        return _TOP + _DEPTH * (1 - math.log10(count * 2) / decades) if count else _TOP + _DEPTH

    yield _text(left, 20, "planned moves, phased sessions: pauses between ticks", bold=True)
    yield from _frame(left, [(y(10.0**power), f"{10**power:,}") for power in range(math.ceil(decades - 0.3))])
    for length, count in counts.items():
        wide = _PANEL * 0.1 / widest - 1.5
        yield (
            f'<rect x="{x(float(length)):.1f}" y="{y(count):.1f}" width="{wide:.1f}"'
            f' height="{_TOP + _DEPTH - y(count):.1f}" fill="{_DATA}" opacity="0.7"/>'
        )
    yield f'<path d="M{x(1.2):.1f} {_TOP}V{_TOP + _DEPTH}" stroke="{_BAR}" stroke-dasharray="4 3"/>'
    yield _text(x(1.2) + 4, _TOP + 12, "bar 1.2 s", colour=_BAR)
    ticks = [tick * 0.2 for tick in range(int(widest / 0.2) + 1)]
    every = 1 if len(ticks) < 12 else 5
    yield from (_text(x(tick) - 8, _TOP + _DEPTH + 14, f"{tick:.1f}") for tick in ticks[::every])
    yield _text(left, _TOP + _DEPTH + 32, "seconds; how many of each length, logarithmic", soft=True)


def _frame(left: float, ticks: Sequence[tuple[float, str]]) -> Iterator[str]:
    yield f'<path d="M{left} {_TOP}V{_TOP + _DEPTH}H{left + _PANEL}" fill="none" stroke="{_SOFT}"/>'
    for at, label in ticks:
        yield f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end" fill="{_SOFT}">{label}</text>'


def _rule(left: float, at: float, label: str) -> str:
    line = f'<path d="M{left} {at:.1f}H{left + _PANEL}" stroke="{_BAR}" stroke-dasharray="4 3"/>'
    return line + _text(left + _PANEL - 48, at - 4, label, colour=_BAR)


def _text(x: float, y: float, words: str, *, bold: bool = False, soft: bool = False, colour: str = "") -> str:
    weight = ' font-weight="bold"' if bold else ""
    fill = f' fill="{colour or _SOFT}"' if soft or colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{weight}{fill}>{words}</text>'


if __name__ == "__main__":
    found = json.loads((ROOT / "benchmarks" / "results" / "ownership.json").read_text())
    (ROOT / "docs" / "ownership.svg").write_text(drawing(found))
