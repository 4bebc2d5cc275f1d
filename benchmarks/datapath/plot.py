"""``python -m datapath.plot``: docs/worker.svg from the results of the last whole run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from datapath.verdict import median
from support.cluster import ROOT
from svg import APART, BAR, DATA, DEPTH, LEFT, PANEL, SOFT, TOP, document, frame, rule, text

_CLIENTS: Final = {
    "bare": "bare loop",
    "ours": "ibfeed",
    "peer_ibind": "ibind",
    "peer_cryptofeed": "cryptofeed's Kafka",
}
_LEAST_PER_S, _MOST_PER_S = 1_000, 1_000_000  # of the drawing
_MOST_MS: Final = 10.0


def drawing(results: Mapping[str, Any]) -> str:
    """Left: ticks a second of one processor, each round of each client. Right: latency at IB's own pace."""
    return document((*_rates(results["throughput_runs"]), *_latencies(results)))


def _rates(runs: Mapping[str, Sequence[float]]) -> Iterator[str]:
    decades = math.log10(_MOST_PER_S / _LEAST_PER_S)

    def y(per_s: float) -> float:
        return TOP + DEPTH * (1 - math.log10(per_s / _LEAST_PER_S) / decades)

    yield text(LEFT, 20, "ticks a second: websocket frame to acknowledged record", bold=True)
    yield from frame(LEFT, [(y(10.0**power), f"{10 ** (power - 3)}k") for power in (3, 4, 5, 6)])
    yield rule(LEFT, y(100_000), "bar")
    pitch = PANEL / len(_CLIENTS)
    for place, (name, label) in enumerate(_CLIENTS.items()):
        x, middle = LEFT + pitch * (place + 0.5), median(list(runs[name]))
        colour = DATA if name == "ours" else SOFT
        yield (
            f'<rect x="{x - 22:.1f}" y="{y(middle):.1f}" width="44" height="{TOP + DEPTH - y(middle):.1f}"'
            f' fill="{colour}" opacity="0.45"/>'
        )
        yield from (f'<circle cx="{x:.1f}" cy="{y(run):.1f}" r="3" fill="{colour}"/>' for run in runs[name])
        yield text(x - 22, y(max(runs[name])) - 8, f"{middle:,.0f}")
        yield f'<text x="{x:.1f}" y="{TOP + DEPTH + 16}" text-anchor="middle">{label}</text>'
    yield text(LEFT, TOP + DEPTH + 36, "one processor for the client; each round, and the median", soft=True)


def _latencies(results: Mapping[str, Any]) -> Iterator[str]:
    left = LEFT + APART

    def y(ms: float) -> float:
        return TOP + DEPTH * (1 - min(ms, _MOST_MS) / _MOST_MS)

    yield text(left, 20, "ms from frame to consumer: 100 contracts at 2/s", bold=True)
    yield from frame(left, [(y(ms), f"{ms:g}") for ms in range(0, int(_MOST_MS) + 1, 2)])
    yield from (rule(left, y(limit), f"bar {name}") for limit, name in ((1, "p50"), (4, "p99")))
    for place, (key, label) in enumerate((("bare_latency_ms", "bare loop"), ("added_latency_ms", "ibfeed"))):
        x, found = left + PANEL / 2 * (place + 0.5), results[key]
        colour = DATA if key == "added_latency_ms" else SOFT
        bottom, top = y(found["p50"]), y(found["p99"])
        yield f'<path d="M{x:.1f} {bottom:.1f}V{top:.1f}" stroke="{colour}" stroke-width="8" opacity="0.45"/>'
        yield f'<circle cx="{x:.1f}" cy="{bottom:.1f}" r="4" fill="{colour}"/>'
        yield text(x - 62, top + 4, f"p99 {found['p99']:g}", colour=BAR if found["p99"] > _MOST_MS else "")
        yield text(x - 62, bottom + 4, f"p50 {found['p50']:g}")
        yield f'<text x="{x:.1f}" y="{TOP + DEPTH + 16}" text-anchor="middle">{label}</text>'
    yield text(left, TOP + DEPTH + 36, "medians of the windows; Kafka and its consumer included", soft=True)


if __name__ == "__main__":
    found = json.loads((ROOT / "benchmarks" / "results" / "worker.json").read_text())
    (ROOT / "docs" / "worker.svg").write_text(drawing(found))
