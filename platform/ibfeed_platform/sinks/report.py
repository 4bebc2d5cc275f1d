"""The report of a sink's process, made of its processor's progress. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ibfeed_api.sink import MAX_ERROR, PodReport, SinkState
from ibfeed_platform.sinks.progress import Progress

WINDOW_S: Final = 30.0
_OF_A_BATCH: Final = 100  # latencies; more of one batch tell nothing more
NOTHING: Final = Progress(rows=0, lag=None, last_event_ms=None, last_write_ms=None, latencies_ms=(), error=None)


def picked(latencies_ms: Sequence[float]) -> Sequence[float]:
    """Return at most 100 latencies of a batch, evenly picked from the sorted ones."""
    count = len(latencies_ms)
    if count <= _OF_A_BATCH:
        return latencies_ms
    ordered = sorted(latencies_ms)
    return [ordered[place * (count - 1) // (_OF_A_BATCH - 1)] for place in range(_OF_A_BATCH)]


class LatencyWindow:
    """The latencies of the last half minute. Times are monotonic, in s."""

    def __init__(self) -> None:
        self._batches: Final[deque[tuple[float, Sequence[float]]]] = deque()

    def add(self, now: float, latencies_ms: Sequence[float]) -> None:
        self._batches.append((now, latencies_ms))

    def p99_ms(self, now: float) -> int | None:
        """Return the 99th percentile in ms; None if there is no record in the window."""
        while self._batches and now - self._batches[0][0] > WINDOW_S:
            self._batches.popleft()
        every = sorted(latency for _, batch in self._batches for latency in batch)
        return round(every[min(len(every) - 1, len(every) * 99 // 100)]) if every else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A process' work so far, over all of its processors.

    Args:
        earlier_rows: records that processors before this one have confirmed.
        earlier_unreadable: records that they could not decode.
        earlier_cause: of the last one of these.
        refusal: why no processor runs; empty: one does.
    """

    progress: Progress = NOTHING
    earlier_rows: int = 0
    earlier_unreadable: int = 0
    earlier_cause: str = ""
    refusal: str = ""

    @property
    def state(self) -> SinkState:
        if self.refusal:
            return SinkState.REFUSED
        if self.progress.error is not None:
            return SinkState.RETRYING
        return SinkState.STARTING if self.progress.last_write_ms is None else SinkState.WRITING

    @property
    def error(self) -> str:
        return self.refusal or self.progress.error or ""

    @property
    def rows(self) -> int:
        return self.earlier_rows + self.progress.rows

    @property
    def unreadable(self) -> int:
        return self.earlier_unreadable + self.progress.unreadable

    @property
    def unreadable_cause(self) -> str:
        return self.progress.unreadable_cause or self.earlier_cause

    def ended(self, refusal: str) -> Work:
        """Return the work of a process whose processor was refused."""
        return Work(
            earlier_rows=self.rows,
            earlier_unreadable=self.unreadable,
            earlier_cause=self.unreadable_cause,
            refusal=refusal,
        )


def pod_report(work: Work, *, p99_ms: int | None, started: datetime, now: datetime) -> PodReport:
    """Return the report of a process. Times are timezone-aware."""
    progress = work.progress
    return PodReport(
        reported_at=_stamp(now),
        started_at=_stamp(started),
        state=work.state,
        rows=work.rows,
        lag=progress.lag,
        last_event_time=_stamp_of_ms(progress.last_event_ms),
        last_write_time=_stamp_of_ms(progress.last_write_ms),
        latency_p99_ms=p99_ms,
        error=work.error[:MAX_ERROR],
        unreadable=work.unreadable,
        unreadable_cause=work.unreadable_cause[:MAX_ERROR],
    )


def report_patch(pod: str, report: PodReport, before: PodReport | None) -> dict[str, Any]:
    """Return a merge patch of the IbSink's status with what has changed since ``before``; None: with all of it."""
    new = _plain(report)
    old = _plain(before) if before is not None else {}
    changed = {name: value for name, value in new.items() if name not in old or old[name] != value}
    return {"status": {"pods": {pod: changed}}}


def _plain(report: PodReport) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(report))
    return plain


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stamp_of_ms(ms: int | None) -> str | None:
    return None if ms is None else _stamp(datetime.fromtimestamp(ms / 1000, UTC))
