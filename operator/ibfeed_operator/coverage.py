"""Who has each contract, and who publishes it: read from the shards, for the status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ibfeed_api.names import ContractState, EntryState
from ibfeed_api.shard import Entry
from ibfeed_operator.facts import Health, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """By conid: ``owners`` (worker whose entry is Active, else Retiring), highest ``epochs``, and ``publishers``.

    ``moving``: conids with an entry on its way (Standby or Retiring).
    """

    owners: Mapping[int, int]
    epochs: Mapping[int, int]
    publishers: Mapping[int, tuple[int, ...]]
    moving: frozenset[int]

    def publishing(self, conid: int) -> bool:
        return len(self.publishers.get(conid, ())) == 1


def coverage(workers: Iterable[Worker]) -> Coverage:
    """A report counts only with its entry's epoch, and from a worker that streams: a dead one's is history."""
    claims: dict[int, tuple[bool, int, int]] = {}
    epochs: dict[int, int] = {}
    publishers: dict[int, tuple[int, ...]] = {}
    moving: set[int] = set()
    for worker in workers:
        for entry in _entries(worker):
            epochs[entry.conid] = max(entry.epoch, epochs.get(entry.conid, 0))
            if entry.state is not EntryState.ACTIVE:
                moving.add(entry.conid)
            if entry.state is not EntryState.STANDBY:
                claim = (entry.state is EntryState.ACTIVE, entry.epoch, worker.index)
                claims[entry.conid] = max(claim, claims.get(entry.conid, claim))
        for conid in published_by(worker):
            publishers[conid] = (*publishers.get(conid, ()), worker.index)
    return Coverage(
        owners={conid: worker for conid, (_, _, worker) in claims.items()},
        epochs=epochs,
        publishers=publishers,
        moving=frozenset(moving),
    )


def published_by(worker: Worker) -> tuple[int, ...]:
    """The conids that a worker publishes at present."""
    publishes = worker.health.streaming or worker.health.state is Health.LEAVING
    if not publishes or worker.shard is None or worker.shard.status is None:
        return ()
    reports = {report.conid: report for report in worker.shard.status.contracts}
    return tuple(
        entry.conid
        for entry in worker.shard.spec.contracts
        if entry.state is not EntryState.STANDBY
        and (report := reports.get(entry.conid)) is not None
        and report.epoch == entry.epoch
        and report.state is ContractState.PUBLISHING
    )


def _entries(worker: Worker) -> tuple[Entry, ...]:
    return worker.shard.spec.contracts if worker.shard is not None else ()
