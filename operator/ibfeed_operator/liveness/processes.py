"""Which worker processes have ended, and under which epochs they may have published. Pure.

The successor of an ended process must not go on under the same epochs: it counts its records from the start again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ibfeed_api.shard import ContractState, EntryState, Session
from ibfeed_operator.model.types import Shard


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker's process as last seen: when it started, and under which epochs it may publish contracts (by conid)."""

    started_at: str
    epochs: Mapping[int, int]


class ProcessTracker:
    """The processes of one feed's workers."""

    def __init__(self) -> None:
        self._processes: Final[dict[int, WorkerProcess]] = {}
        self._ended: Final[dict[int, dict[int, int]]] = {}  # worker -> conid -> epoch of a process now gone

    def observe(self, shard: Shard, *, silent: bool) -> None:
        """Notice whether the process that reports is another one than before. ``silent``: none can be publishing.

        Contracts that a streaming process was given count, too: it reports them a moment later, and may die before.
        """
        status = shard.status
        if status is None:
            return
        seen = self._processes.get(shard.worker)
        before: Mapping[int, int] = seen.epochs if seen is not None else {}
        if seen is not None and seen.started_at != status.started_at:
            self._ended.setdefault(shard.worker, {}).update(before)
            before = {}
        if status.session is Session.STREAMING and not silent:
            entries = (entry for entry in shard.spec.contracts if entry.state is not EntryState.STANDBY)
            before = {entry.conid: entry.epoch for entry in entries}
        told = {report.conid: report.epoch for report in status.contracts if report.state is not ContractState.WARM}
        self._processes[shard.worker] = WorkerProcess(status.started_at, {**told, **before})

    def ended(self, worker: int) -> Mapping[int, int]:
        """By conid the epoch under which an earlier process of this worker was last seen publishing it."""
        return self._ended.get(worker, {})

    def forget(self, worker: int) -> None:
        self._processes.pop(worker, None)
        self._ended.pop(worker, None)
