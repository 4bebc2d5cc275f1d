"""How old a process' report is, by an observer's own clock. Pure.

Clocks of nodes differ, so an age counts from when the report was seen to change. Only the first look at a report, after
the operator's start, has no other clue than the time in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ibfeed_api.sink import PodReport


@dataclass(frozen=True, slots=True)
class ReportAges:
    """When each pod's latest report was first seen: its ``reportedAt``, and the monotonic time in s."""

    seen: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def observe(self, reports: Mapping[str, PodReport], *, now: float, clock: datetime) -> ReportAges:
        """Return the ages with these reports in them. ``now`` is monotonic, ``clock`` the same moment in UTC."""
        return ReportAges({name: self._first_seen(name, report, now, clock) for name, report in reports.items()})

    def at(self, now: float) -> dict[str, float]:
        """Return each pod's age in s."""
        return {name: now - since for name, (_, since) in self.seen.items()}

    def _first_seen(self, name: str, report: PodReport, now: float, clock: datetime) -> tuple[str, float]:
        before = self.seen.get(name)
        if before is not None:
            return before if before[0] == report.reported_at else (report.reported_at, now)
        told = (clock - datetime.fromisoformat(report.reported_at)).total_seconds()
        return report.reported_at, now - max(0.0, told)
