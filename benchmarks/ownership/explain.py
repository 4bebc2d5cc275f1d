"""What a person needs to look into a verdict that is not clean."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ibfeed_local.progress import Progress
from ownership.evidence import Evidence
from ownership.verdict import Delivery, Update, Written

_MOST = 5
_AROUND_MS = 1500


def show(found: Delivery, evidence: Evidence, progress: Progress) -> None:
    """Print the counts, and of each kind of fault the first few with the records around them."""
    progress.report(
        f"{found.expected} updates sent: {len(found.lost)} not on Kafka, {len(found.duplicated)} twice,"
        f" {len(found.disordered)} out of order, {len(found.unknown)} never sent"
    )
    for what, faults in (
        ("lost", found.lost),
        ("twice", found.duplicated),
        ("out of order", found.disordered),
        ("never sent", found.unknown),
    ):
        for line in around(what, faults, evidence):
            progress.report(line)


def around(what: str, faults: Collection[Update | Written], evidence: Evidence) -> Iterator[str]:
    """The first few, one line each."""
    for fault in list(faults)[:_MOST]:
        near = (
            f"{record.event_time % 1_000_000}/{record.worker}/{record.epoch}"
            for record in evidence.written.get(fault.conid, ())
            if abs(record.event_time - fault.event_time) <= _AROUND_MS
        )
        yield f"  {what}: contract {fault.conid} at {fault.event_time % 1_000_000}, near it {' '.join(near)}"
