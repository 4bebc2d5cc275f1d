"""Finds the worker that has each contract and the one that publishes it, from the shards, for the status.

In the middle of a planned move no worker publishes for a moment: the old one has released the contract, and the new one
has yet to report that Kafka has acknowledged a record. No data is lost, since both buffer incoming updates. So such a
contract counts as covered while both workers are there and buffer it, but for at most ``HAND_OVER_S``. If it takes
longer, the new worker fails to publish it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ibfeed_api.shard import ContractState, Entry, EntryState, Report
from ibfeed_operator.model.types import Health, Worker

HAND_OVER_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The coverage of a feed's contracts.

    By conid: ``owners`` (the worker whose entry is Active, else Retiring), the highest ``epochs``, and ``publishers``.
    ``moving``: conids with an entry that is Retiring, or Standby in a move. ``standbys``: by conid the worker with its
    hot standby; ``warm``: those of them that would go on at once. ``between``: conids that have been in the middle of a
    hand-over for less than ``HAND_OVER_S``.
    """

    owners: Mapping[int, int]
    epochs: Mapping[int, int]
    publishers: Mapping[int, tuple[int, ...]]
    moving: frozenset[int]
    standbys: Mapping[int, int] = field(default_factory=dict)
    warm: frozenset[int] = frozenset()
    between: frozenset[int] = frozenset()

    def publishing(self, conid: int) -> bool:
        return len(self.publishers.get(conid, ())) == 1

    def covers(self, conid: int) -> bool:
        return self.publishing(conid) or conid in self.between


def coverage(workers: Iterable[Worker], handing_s: Mapping[int, float]) -> Coverage:
    """Return the coverage of the contracts in the workers' shards.

    A report counts only if its epoch is that of its entry and its worker has a session: the report of a dead worker is
    out of date. ``handing_s``: for how long each conid of ``handed_over`` has been seen so, in seconds.
    """
    claims: dict[int, tuple[bool, int, int]] = {}
    epochs: dict[int, int] = {}
    publishers: dict[int, tuple[int, ...]] = {}
    moving: set[int] = set()
    standbys: dict[int, int] = {}
    warm: dict[int, int] = {}
    for worker in workers:
        for entry in _entries(worker):
            epochs[entry.conid] = max(entry.epoch, epochs.get(entry.conid, 0))
            if entry.hot:
                standbys.setdefault(entry.conid, worker.index)
                continue
            if entry.state is not EntryState.ACTIVE:
                moving.add(entry.conid)
            if entry.state is not EntryState.STANDBY:
                claim = (entry.state is EntryState.ACTIVE, entry.epoch, worker.index)
                claims[entry.conid] = max(claim, claims.get(entry.conid, claim))
        for entry, state in _reported(worker):
            if entry.hot and state is ContractState.WARM:
                warm[entry.conid] = worker.index
            elif _publishes(entry, state):
                publishers[entry.conid] = (*publishers.get(entry.conid, ()), worker.index)
    return Coverage(
        owners={conid: worker for conid, (_, _, worker) in claims.items()},
        epochs=epochs,
        publishers=publishers,
        moving=frozenset(moving),
        standbys=standbys | warm,
        warm=frozenset(warm),
        between=frozenset(conid for conid, age in handing_s.items() if age < HAND_OVER_S),
    )


def handed_over(workers: Iterable[Worker]) -> frozenset[int]:
    """Return the conids in the middle of a hand-over.

    One worker has released and still buffers them, for another that is warm and has yet to publish them.
    """
    released: dict[int, int] = {}
    successors: dict[int, int] = {}
    published: set[int] = set()
    for worker in workers:
        published.update(published_by(worker))
        for entry, state in _reported(worker):
            if entry.state is EntryState.RETIRING and state is ContractState.RELEASED:
                released[entry.conid] = max(entry.epoch, released.get(entry.conid, 0))
            elif entry.state is EntryState.ACTIVE or (state is ContractState.WARM and not entry.hot):
                successors[entry.conid] = max(entry.epoch, successors.get(entry.conid, 0))
    conids = {conid for conid, epoch in released.items() if successors.get(conid, 0) > epoch}
    return frozenset(conids - published)


def published_by(worker: Worker) -> tuple[int, ...]:
    """Return the conids that a worker publishes at present."""
    return tuple(entry.conid for entry, state in _reported(worker) if _publishes(entry, state))


def why_not(workers: Iterable[Worker]) -> dict[int, Report]:
    """Return, by conid, the reports that say why a contract, or its order book, is not published."""
    return {
        entry.conid: report
        for worker in workers
        for entry, report in _reports(worker)
        if entry.state is not EntryState.STANDBY and report.message
    }


def _publishes(entry: Entry, state: ContractState) -> bool:
    return entry.state is not EntryState.STANDBY and state is ContractState.PUBLISHING


def reports_of_standbys(workers: Iterable[Worker]) -> Iterator[tuple[int, Entry, Report]]:
    """Return the entries that workers hold ready, each with its worker and its report."""
    for worker in workers:
        yield from ((worker.index, entry, report) for entry, report in _reports(worker) if entry.hot)


def _reported(worker: Worker) -> Iterator[tuple[Entry, ContractState]]:
    return ((entry, report.state) for entry, report in _reports(worker))


def _reports(worker: Worker) -> Iterator[tuple[Entry, Report]]:
    """Return the entries of a worker that has a session, each with its report on this very assignment."""
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
