"""What the benchmarks' drawings have in common: two panels side by side, with axes, labels and dashed bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

LEFT, TOP, PANEL, DEPTH = 50, 46, 340, 200  # of the first panel; the second one begins APART further right
APART: Final = 430
INK, SOFT, DATA, BAR = "#24292f", "#8c959f", "#0969da", "#cf222e"
_WIDTH, _HEIGHT = 860, 300


def document(parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
    ground = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
    return "\n".join((f'{head} font-size="12" fill="{INK}">', ground, *parts, "</svg>\n"))


def frame(left: float, ticks: Sequence[tuple[float, str]]) -> Iterator[str]:
    yield f'<path d="M{left} {TOP}V{TOP + DEPTH}H{left + PANEL}" fill="none" stroke="{SOFT}"/>'
    for at, label in ticks:
        yield f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end" fill="{SOFT}">{label}</text>'


def rule(left: float, at: float, label: str) -> str:
    line = f'<path d="M{left} {at:.1f}H{left + PANEL}" stroke="{BAR}" stroke-dasharray="4 3"/>'
    return line + text(left + PANEL - 48, at - 4, label, colour=BAR)


def text(x: float, y: float, words: str, *, bold: bool = False, soft: bool = False, colour: str = "") -> str:
    weight = ' font-weight="bold"' if bold else ""
    fill = f' fill="{colour or SOFT}"' if soft or colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{weight}{fill}>{words}</text>'
