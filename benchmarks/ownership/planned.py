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
from ownership.verdict import delivery, longest_silence_s, not_growing, silences


def common(on: Stage, sizes: Sizes, progress: Progress) -> dict[str, Any]:
    """Every session sees the same updates, so each is either once on Kafka, or lost, or doubled."""
    evidence, carried = _moved(on, sizes, progress)
    found = delivery(evidence.sent, evidence.written, evidence.window)
    show(found, evidence, progress)
    lost = Counter(step.kind for update in found.lost for step in carried if step.window.holds(update.event_time))
    for kind, count in lost.items():
        progress.report(f"  {count} were lost during: {kind}")
    seconds = (evidence.window.end_ms - evidence.window.begin_ms) / 1000
    return {
        "planned_moves": sum(step.moved for step in carried),
        "planned_lost": len(found.lost),
        "planned_duplicated": len(found.duplicated) + len(found.unknown),
        "planned_disordered": len(found.disordered),
        "planned_updates": found.expected,
        "planned_updates_per_contract_s": round(found.expected / len(on.conids) / seconds, 2),
        "planned_moves_by_kind": _by_kind(carried),
        "planned_lost_by_kind": dict(lost),
    }


def phased(sizes: Sizes, progress: Progress) -> dict[str, Any]:
    """Each session conflates at its own phase, as with IB: times grow over workers, and no contract falls silent."""
    with stage("phased", progress) as on:
        evidence, carried = _moved(on, sizes, progress)
    arrivals = {conid: [record.at_ms for record in evidence.written.get(conid, ())] for conid in on.conids}
    silence, conid = longest_silence_s(arrivals, evidence.window)
    progress.report(f"longest silence: {silence:.2f} s, contract {conid}")
    for step in carried:
        longest, whose = longest_silence_s(arrivals, step.window)
        venue, _ = longest_silence_s(evidence.heard, step.window)
        progress.report(f"  {step.kind}: {longest:.2f} s, contract {whose}; the venue's own: {venue:.2f} s")
    return {
        "phased_max_silence_s": round(silence, 3),
        "phased_moves": sum(step.moved for step in carried),
        "phased_moves_by_kind": _by_kind(carried),
        "phased_silences": silences(arrivals, 0.1),
        "phased_times_not_growing": len(not_growing(evidence.written)),
        "phased_venue_max_silence_s": round(longest_silence_s(evidence.heard, evidence.window)[0], 3),
    }


def _moved(on: Stage, sizes: Sizes, progress: Progress) -> tuple[Evidence, list[moves.Carried]]:
    with on.watch() as watch:
        carried = list(moves.until(sizes.moves, on, watch, progress))
        return watch.evidence(), carried


def _by_kind(carried: list[moves.Carried]) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    for step in carried:
        kinds[step.kind] += step.moved
    return dict(kinds)
