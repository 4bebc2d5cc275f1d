"""What the venue sent in the simulated time against what is on Kafka. Pure: values in, values out.

An update may be missing only within a recorded gap with both bounds, and a gap may excuse no more than lies between two
records that follow each other. How much of the trading time lies in gaps is told beside it, by cause: a stream that was
mostly gap has lost nothing, and is worth nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ownership.verdict import Gap, Records, Sent, Window, Written, delivery, inexact, moves, unreported, zombies

Spans = Sequence[tuple[int, int]]
"""Begin and end (ms) of the times in which the market was open, in order."""


@dataclass(frozen=True, slots=True)
class Told:
    """A gap as a worker told of it."""

    gap: Gap
    cause: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a soak came to.

    ``moves``: how often a contract went on at another worker. ``missing``: updates that are not on Kafka, ``lost``:
    those of them that no gap excuses.

    By cause: ``empty_gaps``, in which no update is missing; ``gap_share``, the part of all contracts' trading time that
    lies in gaps; ``longest_gap_s``, the longest's seconds of trading.
    """

    expected: int
    moves: int
    missing: int
    lost: int
    duplicated: int
    disordered: int
    unknown: int  # records of an update that was never sent
    zombies: int
    gaps: Mapping[str, int]  # by cause
    unbounded: int  # gaps that say nothing of one of their ends
    inexact: int  # gaps whose bounds are not two records that follow each other
    empty_gaps: Mapping[str, int]
    gap_share: Mapping[str, float]
    longest_gap_s: Mapping[str, float]
    examples: tuple[str, ...] = field(default=())

    @property
    def clean(self) -> bool:
        wrong = (self.lost, self.duplicated, self.disordered, self.unknown, self.zombies, self.inexact)
        return self.expected > 0 and not any(wrong)


def judge(sent: Sent, written: Records, told: Collection[Told], window: Window, market_open: Spans) -> Outcome:
    found = delivery(sent, written, window)
    bounded = [one for one in told if one.gap.from_ms is not None and one.gap.to_ms is not None]
    known = [one.gap for one in bounded if window.holds(one.gap.to_ms or 0) and window.holds(one.gap.from_ms or 0)]
    lost = unreported(found.lost, written, [one.gap for one in bounded])
    wide = inexact(known, written)
    empty = [one for one in bounded if len(unreported(found.lost, written, [one.gap])) == len(found.lost)]
    covered = _covered(bounded, window, market_open)
    whole = len(sent) * _within(window.begin_ms, window.end_ms, market_open)
    behind = [record for record in zombies(written) if window.holds(record.event_time)]
    return Outcome(
        expected=found.expected,
        moves=moves({conid: [one for one in of if window.holds(one.event_time)] for conid, of in written.items()}),
        missing=len(found.lost),
        lost=len(lost),
        duplicated=len(found.duplicated),
        disordered=len(found.disordered),
        unknown=len(found.unknown),
        zombies=len(behind),
        gaps=Counter(one.cause for one in told),
        unbounded=len(told) - len(bounded),
        inexact=len(wide),
        empty_gaps=Counter(one.cause for one in empty),
        gap_share={cause: round(sum(ms) / whole, 6) if whole else 0.0 for cause, ms in covered.items()},
        longest_gap_s={cause: max(ms) / 1000 for cause, ms in covered.items()},
        examples=(
            *(f"lost: {one}" for one in lost[:5]),
            *(f"duplicated: {one}" for one in found.duplicated[:5]),
            *(f"disordered: {one}" for one in found.disordered[:5]),
            *(f"unknown: {one}" for one in found.unknown[:5]),
            *(f"inexact: {one}" for one in wide[:5]),
        ),
    )


def _covered(told: Collection[Told], window: Window, market_open: Spans) -> dict[str, list[int]]:
    """By cause, in order: how long (ms) the market was open in each gap."""
    covered: dict[str, list[int]] = defaultdict(list)
    for one in told:
        begin = max(window.begin_ms, one.gap.from_ms or 0)
        end = min(window.end_ms, one.gap.to_ms or 0)
        covered[one.cause].append(_within(begin, end, market_open))
    return dict(sorted(covered.items()))


def _within(begin: int, end: int, spans: Spans) -> int:
    return sum(max(0, min(end, last) - max(begin, first)) for first, last in spans)


__all__ = ["Gap", "Outcome", "Spans", "Told", "Window", "Written", "judge"]
