"""Planned moves against the venue's ground truth: nothing lost, nothing doubled, no silence."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ibfeed_local.progress import Progress
from ownership import moves
from ownership.evidence import Evidence
from ownership.explain import show
from ownership.setting import Sizes
from ownership.stage import Stage, stage
from ownership.verdict import delivery, longest_silence_s, not_growing


def common(on: Stage, sizes: Sizes, progress: Progress) -> dict[str, Any]:
    """Every session sees the same updates, so each is either once on Kafka, or lost, or doubled."""
    evidence, kinds = _moved(on, sizes, progress)
    found = delivery(evidence.sent, evidence.written, evidence.window)
    show(found, evidence, progress)
    seconds = (evidence.window.end_ms - evidence.window.begin_ms) / 1000
    return {
        "planned_moves": sum(kinds.values()),
        "planned_lost": len(found.lost),
        "planned_duplicated": len(found.duplicated) + len(found.unknown),
        "planned_disordered": len(found.disordered),
        "planned_updates": found.expected,
        "planned_updates_per_contract_s": round(found.expected / len(on.conids) / seconds, 2),
        "planned_moves_by_kind": dict(kinds),
    }


def phased(sizes: Sizes, progress: Progress) -> dict[str, Any]:
    """Each session conflates at its own phase, as with IB: times grow over workers, and no contract falls silent."""
    with stage("phased", progress) as on:
        evidence, kinds = _moved(on, sizes, progress)
    arrivals = {conid: [record.at_ms for record in evidence.written.get(conid, ())] for conid in on.conids}
    silence, conid = longest_silence_s(arrivals, evidence.window)
    progress.say(f"longest silence: {silence:.2f} s, contract {conid}")
    return {
        "phased_max_silence_s": round(silence, 3),
        "phased_moves": sum(kinds.values()),
        "phased_moves_by_kind": dict(kinds),
        "phased_times_not_growing": len(not_growing(evidence.written)),
        "phased_venue_max_silence_s": round(longest_silence_s(evidence.heard, evidence.window)[0], 3),
    }


def _moved(on: Stage, sizes: Sizes, progress: Progress) -> tuple[Evidence, Counter[str]]:
    kinds: Counter[str] = Counter()
    with on.watch() as watch:
        for kind, count in moves.until(sizes.moves, on, watch, progress):
            kinds[kind] += count
        return watch.evidence(), kinds
