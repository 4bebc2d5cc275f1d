"""Who has each contract, and who publishes it: read from the shards, for the status.

In the middle of a planned move nobody publishes for a moment: the old worker has released, the new one has yet to say
that Kafka has acknowledged. Nothing is lost by that, since both hold what comes in, so such a contract counts as
covered; but only while both are there and hold it, and for ``HAND_OVER_S`` at most: longer than that is an heir who
does not get it published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ibfeed_api.shard import ContractState, Entry, EntryState, Report
from ibfeed_operator.model.types import Health, Worker

HAND_OVER_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """By conid: ``owners`` (worker whose entry is Active, else Retiring), highest ``epochs``, and ``publishers``.

    ``moving``: conids with an entry on its way (Standby or Retiring). ``between``: those being handed over, not for too
    long.
    """

    owners: Mapping[int, int]
    epochs: Mapping[int, int]
    publishers: Mapping[int, tuple[int, ...]]
    moving: frozenset[int]
    between: frozenset[int] = frozenset()

    def publishing(self, conid: int) -> bool:
        return len(self.publishers.get(conid, ())) == 1

    def covers(self, conid: int) -> bool:
        return self.publishing(conid) or conid in self.between


def coverage(workers: Iterable[Worker], handing_s: Mapping[int, float]) -> Coverage:
    """A report counts only with its entry's epoch, and from a worker that streams: a dead one's is history.

    ``handing_s``: for how long each of ``handed_over`` has been seen so, in seconds.
    """
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
        between=frozenset(conid for conid, age in handing_s.items() if age < HAND_OVER_S),
    )


def handed_over(workers: Iterable[Worker]) -> frozenset[int]:
    """The conids that one worker has released, and holds, for another that is warm and has yet to publish them."""
    released: dict[int, int] = {}
    heirs: dict[int, int] = {}
    published: set[int] = set()
    for worker in workers:
        published.update(published_by(worker))
        for entry, state in _reported(worker):
            if entry.state is EntryState.RETIRING and state is ContractState.RELEASED:
                released[entry.conid] = max(entry.epoch, released.get(entry.conid, 0))
            elif entry.state is EntryState.ACTIVE or state is ContractState.WARM:
                heirs[entry.conid] = max(entry.epoch, heirs.get(entry.conid, 0))
    conids = {conid for conid, epoch in released.items() if heirs.get(conid, 0) > epoch}
    return frozenset(conids - published)


def published_by(worker: Worker) -> tuple[int, ...]:
    """The conids that a worker publishes at present."""
    return tuple(
        entry.conid
        for entry, state in _reported(worker)
        if entry.state is not EntryState.STANDBY and state is ContractState.PUBLISHING
    )


def why_not(workers: Iterable[Worker]) -> dict[int, Report]:
    """By conid what the worker that has a contract says of it, where it says why it is not published, or its book."""
    return {
        entry.conid: report
        for worker in workers
        for entry, report in _reports(worker)
        if entry.state is not EntryState.STANDBY and report.message
    }


def _reported(worker: Worker) -> Iterator[tuple[Entry, ContractState]]:
    return ((entry, report.state) for entry, report in _reports(worker))


def _reports(worker: Worker) -> Iterator[tuple[Entry, Report]]:
    """The entries of a worker that streams, each with what it reports of this very assignment."""
    streams = worker.health.streaming or worker.health.state is Health.LEAVING
    if not streams or worker.shard is None or worker.shard.status is None:
        return
    reports = {report.conid: report for report in worker.shard.status.contracts}
    for entry in worker.shard.spec.contracts:
        report = reports.get(entry.conid)
        if report is not None and report.epoch == entry.epoch:
            yield entry, report


def _entries(worker: Worker) -> tuple[Entry, ...]:
    return worker.shard.spec.contracts if worker.shard is not None else ()
