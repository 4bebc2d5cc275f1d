"""One cycle of one feed: what was seen, what follows from it, and what has been written since.

A visit starts from what the cluster says now. Between visits a feed's ``Memory`` keeps only clocks, what was applied
last (to spare the API server), and IB's latest answers: nothing that a new operator would miss.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ibfeed_api.kinds import shard_name
from ibfeed_api.shard import ContractState, EntryState, Session, ShardSpec
from ibfeed_operator import resources
from ibfeed_operator.controller.dependencies import Dependencies
from ibfeed_operator.controller.pod_events import PodEvents
from ibfeed_operator.controller.predicates import decision_inputs
from ibfeed_operator.controller.snapshot import Snapshot, shards_path
from ibfeed_operator.controller.universe_resolver import UniverseResolver
from ibfeed_operator.kube.client import JsonObject
from ibfeed_operator.kube.errors import ConflictError
from ibfeed_operator.kube.events import EventRecorder
from ibfeed_operator.liveness.diagnosis import Observation, is_leaving
from ibfeed_operator.liveness.tracker import LivenessTracker, Verdict
from ibfeed_operator.model.decode import read_shard
from ibfeed_operator.model.types import Feed, Health, Shard
from ibfeed_operator.planning.assignment import Decision
from ibfeed_operator.planning.handover_state import Holding
from ibfeed_operator.planning.placement import placement
from ibfeed_operator.planning.refusals import Refusals
from ibfeed_operator.planning.universe import merge, remembered, trading_day


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker's process as last seen: when it started, and under which epochs it may publish contracts (by conid)."""

    started_at: str
    epochs: Mapping[int, int]


@dataclass(slots=True, kw_only=True)
class Memory:
    """What outlives a visit, within this process."""

    resolver: UniverseResolver
    events: PodEvents
    recorder: EventRecorder
    liveness: LivenessTracker = field(default_factory=LivenessTracker)
    refusals: Refusals = field(default_factory=Refusals)
    applied: dict[str, tuple[str, float]] = field(default_factory=dict)  # path -> (digest, when)
    processes: dict[int, WorkerProcess] = field(default_factory=dict)
    ended: dict[int, dict[int, int]] = field(default_factory=dict)  # worker -> conid -> epoch of a process now gone
    states: dict[int, Health] = field(default_factory=dict)
    remarks: dict[int, str] = field(default_factory=dict)  # worker -> the reason that it gave last, while it streams
    broken: dict[str, float] = field(default_factory=dict)  # uid of a pod that cannot come to stream -> since when
    rollout_at: float = float("-inf")  # when the StatefulSet was last asked for its templates
    handing: dict[int, float] = field(default_factory=dict)  # conid -> since when it is in a hand-over
    first_streaming: float | None = None  # when the first worker of a new feed came to stream

    def forget(self, worker: int) -> None:
        for kept in (self.processes, self.ended, self.states, self.remarks):
            kept.pop(worker, None)


class Context:
    """``shards`` (by worker) is kept up to date with what this visit writes; ``decision`` comes with the hand-over."""

    def __init__(self, dependencies: Dependencies, memory: Memory, snapshot: Snapshot) -> None:
        self.dependencies: Final = dependencies
        self.memory: Final = memory
        self.snapshot: Final = snapshot
        self.feed: Final[Feed] = snapshot.feed
        self.today: Final = trading_day(dependencies.clock())
        self.shards = {shard.worker: shard for shard in snapshot.shards}
        self.pods: Final = {pod.worker: pod for pod in snapshot.pods}
        self.decision: Decision | None = None
        self.observations: Final = self._observations()
        now = time.monotonic()
        self.verdicts: Final[Mapping[int, Verdict]] = memory.liveness.judge(self.observations, now)
        for shard in self.shards.values():
            self._remember_process(shard)
        self.next_look_s: Final = memory.liveness.next_change_s(self.observations, now)
        self.known: Final = remembered(self.feed, snapshot.shards)
        self.universe: Final = merge(self.feed.spec, self.known, memory.resolver.answers, today=self.today)
        self.placement: Final = placement(self.feed, self.universe, snapshot.shards)

    def name_of(self, worker: int) -> str:
        return shard_name(self.feed.name, worker)

    def shard_path(self, shard: Shard) -> str:
        return f"{shards_path(self.feed.namespace)}/{shard.name}"

    async def patch_shard(self, shard: Shard, spec: JsonObject) -> None:
        """Change a shard's spec; raises Conflict if anybody wrote to the shard since it was seen.

        A status that tells nothing new is no reason to decide anew: of 200 workers some have always just told when
        their last tick came. So what is written rests on the newest version with the same grounds, which the watch
        has mostly told while the write waited for its turn; a refusal and another look cost as much as the write.
        """
        informers = self.dependencies.informers.shards
        async with self.dependencies.kube.turn():
            newest = informers.value((self.feed.namespace, shard.name))
            if newest is None or decision_inputs(newest) != decision_inputs(shard):
                raise ConflictError(f"{shard.name} has changed since it was seen")
            with informers.writing():
                try:
                    raw = await self._patch(shard, newest.resource_version, spec)
                except ConflictError:
                    now = read_shard(await self.dependencies.kube.get(self.shard_path(shard)))
                    if now is None or decision_inputs(now) != decision_inputs(shard):
                        raise
                    raw = await self._patch(shard, now.resource_version, spec)
        self._remember(raw)

    async def _patch(self, shard: Shard, version: str, spec: JsonObject) -> bytes:
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        return await self.dependencies.kube.patch(self.shard_path(shard), body)

    async def adopt_shard(self, shard: Shard) -> None:
        """Make a shard that has lost its IbFeed this feed's; raises Conflict if anybody wrote to it meanwhile."""
        manifest = resources.shard(self.feed, shard.spec)["metadata"]
        metadata = {key: manifest[key] for key in ("labels", "ownerReferences")}
        body = {"metadata": metadata | {"resourceVersion": shard.resource_version}}
        with self.dependencies.informers.shards.writing():
            raw = await self.dependencies.kube.patch(self.shard_path(shard), body)
        self._remember(raw)
        await self.announce_adoption(f"IbShard {shard.name}")

    async def announce_adoption(self, what: str) -> None:
        text = f"{what} was left by an earlier IbFeed of this name and is now this one's"
        await self.memory.recorder.post(self.feed, "Normal", "Adopted", what, text)

    async def create_shard(self, spec: ShardSpec) -> None:
        with self.dependencies.informers.shards.writing():
            raw = await self.dependencies.kube.create(resources.shard(self.feed, spec))
        self._remember(raw)

    async def delete_shard(self, shard: Shard) -> None:
        with self.dependencies.informers.shards.writing():
            await self.dependencies.kube.delete(self.shard_path(shard), resource_version=shard.resource_version)
        del self.shards[shard.worker]
        self.memory.forget(shard.worker)

    def _remember(self, raw: bytes) -> None:
        shard = read_shard(raw)
        if shard is not None:
            self.dependencies.informers.shards.wrote(raw, shard)
            self.shards[shard.worker] = shard
            self._remember_process(shard)

    def holdings(self) -> list[Holding]:
        limits = self.feed.spec.accounts
        return [
            Holding(
                worker=worker,
                entries=shard.spec.contracts,
                reports=shard.status.contracts if shard.status is not None else (),
                streaming=shard.status is not None and shard.status.session is Session.STREAMING,
                leaving=self.feed.spec.suspend or is_leaving(self.observations[worker]) or self._is_relieved(worker),
                silent=worker in self.verdicts and self.verdicts[worker].silent,
                ended=self.memory.ended.get(worker, {}),
                home=shard.spec.home,
                lines=limits.lines_per_account,
                ladders=limits.depth_per_account,
            )
            for worker, shard in sorted(self.shards.items())
            if not shard.deleting
        ]

    def _is_relieved(self, worker: int) -> bool:
        return worker in self.verdicts and self.verdicts[worker].relieved

    def _observations(self) -> dict[int, Observation]:
        leases = {lease.name: lease for lease in self.snapshot.leases}
        result = {}
        for worker in sorted({*range(self.feed.spec.workers), *self.shards, *self.pods}):
            shard = self.shards.get(worker)
            account = shard.spec.account if shard is not None else None
            result[worker] = Observation(
                index=worker,
                shard=shard,
                pod=self.pods.get(worker),
                lease=leases.get(account.lease) if account is not None else None,
            )
        return result

    def _remember_process(self, shard: Shard) -> None:
        """Notice that a worker's process was replaced: its successor must not go on under the same epochs.

        What a process that streams was given counts, too: it tells of that a moment later, and may die before.
        """
        status = shard.status
        if status is None:
            return
        seen = self.memory.processes.get(shard.worker)
        before: Mapping[int, int] = seen.epochs if seen is not None else {}
        if seen is not None and seen.started_at != status.started_at:
            self.memory.ended.setdefault(shard.worker, {}).update(before)
            before = {}
        if status.session is Session.STREAMING and not self.verdicts[shard.worker].silent:
            entries = (entry for entry in shard.spec.contracts if entry.state is not EntryState.STANDBY)
            before = {entry.conid: entry.epoch for entry in entries}
        told = {report.conid: report.epoch for report in status.contracts if report.state is not ContractState.WARM}
        self.memory.processes[shard.worker] = WorkerProcess(status.started_at, {**told, **before})
