"""One cycle of one feed: what was seen, what follows from it, and what has been written since.

A visit starts from what the cluster says now. Between visits a feed's ``Memory`` keeps only clocks, what was applied
last (to spare the API server), and IB's latest answers: nothing that a new operator would miss.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ibfeed_api.names import ContractState, EntryState, Session, shard_name
from ibfeed_api.shard import Report, ShardSpec, ShardStatus
from ibfeed_operator import resources
from ibfeed_operator.announce import Announcer
from ibfeed_operator.cluster import Conflict, JsonObject
from ibfeed_operator.decide import Decision
from ibfeed_operator.facts import Feed, Health, Shard
from ibfeed_operator.handover import Holding
from ibfeed_operator.liveness import Liveness, Sighting, Verdict, is_leaving
from ibfeed_operator.observe import World, shards_path
from ibfeed_operator.placement import placement
from ibfeed_operator.pod_events import PodEvents
from ibfeed_operator.read import read_shard
from ibfeed_operator.refusals import Refusals
from ibfeed_operator.resolver import Resolver
from ibfeed_operator.shared import Shared
from ibfeed_operator.universe import merge, remembered, trading_day


@dataclass(frozen=True, slots=True)
class Process:
    """A worker's process as last seen: when it started, and under which epochs it may publish contracts (by conid)."""

    started_at: str
    epochs: Mapping[int, int]


@dataclass(slots=True, kw_only=True)
class Memory:
    """What outlives a visit, within this process."""

    resolver: Resolver
    events: PodEvents
    announcer: Announcer
    liveness: Liveness = field(default_factory=Liveness)
    refusals: Refusals = field(default_factory=Refusals)
    applied: dict[str, tuple[str, float]] = field(default_factory=dict)  # path -> (digest, when)
    processes: dict[int, Process] = field(default_factory=dict)
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


class Visit:
    """``shards`` (by worker) is kept up to date with what this visit writes; ``decision`` comes with the hand-over."""

    def __init__(self, shared: Shared, memory: Memory, world: World) -> None:
        self.shared: Final = shared
        self.memory: Final = memory
        self.world: Final = world
        self.feed: Final[Feed] = world.feed
        self.today: Final = trading_day(shared.clock())
        self.shards = {shard.worker: shard for shard in world.shards}
        self.pods: Final = {pod.worker: pod for pod in world.pods}
        self.decision: Decision | None = None
        self.sightings: Final = self._sightings()
        now = time.monotonic()
        self.verdicts: Final[Mapping[int, Verdict]] = memory.liveness.judge(self.sightings, now)
        for shard in self.shards.values():
            self._remember_process(shard)
        self.next_look_s: Final = memory.liveness.next_change_s(self.sightings, now)
        self.known: Final = remembered(self.feed, world.shards)
        self.universe: Final = merge(self.feed.spec, self.known, memory.resolver.answers, today=self.today)
        self.placement: Final = placement(self.feed, self.universe, world.shards)

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
        views = self.shared.views.shards
        async with self.shared.cluster.turn():
            newest = views.value((self.feed.namespace, shard.name))
            if newest is None or grounds(newest) != grounds(shard):
                raise Conflict(f"{shard.name} has changed since it was seen")
            with views.writing():
                try:
                    raw = await self._patch(shard, newest.resource_version, spec)
                except Conflict:
                    now = read_shard(await self.shared.cluster.get(self.shard_path(shard)))
                    if now is None or grounds(now) != grounds(shard):
                        raise
                    raw = await self._patch(shard, now.resource_version, spec)
        self._remember(raw)

    async def _patch(self, shard: Shard, version: str, spec: JsonObject) -> bytes:
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        return await self.shared.cluster.patch(self.shard_path(shard), body)

    async def adopt_shard(self, shard: Shard) -> None:
        """Make a shard that has lost its IbFeed this feed's; raises Conflict if anybody wrote to it meanwhile."""
        manifest = resources.shard(self.feed, shard.spec)["metadata"]
        metadata = {key: manifest[key] for key in ("labels", "ownerReferences")}
        body = {"metadata": metadata | {"resourceVersion": shard.resource_version}}
        with self.shared.views.shards.writing():
            raw = await self.shared.cluster.patch(self.shard_path(shard), body)
        self._remember(raw)
        await self.announce_adoption(f"IbShard {shard.name}")

    async def announce_adoption(self, what: str) -> None:
        text = f"{what} was left by an earlier IbFeed of this name and is now this one's"
        await self.memory.announcer.post(self.feed, "Normal", "Adopted", what, text)

    async def create_shard(self, spec: ShardSpec) -> None:
        with self.shared.views.shards.writing():
            raw = await self.shared.cluster.create(resources.shard(self.feed, spec))
        self._remember(raw)

    async def delete_shard(self, shard: Shard) -> None:
        with self.shared.views.shards.writing():
            await self.shared.cluster.delete(self.shard_path(shard), resource_version=shard.resource_version)
        del self.shards[shard.worker]
        self.memory.forget(shard.worker)

    def _remember(self, raw: bytes) -> None:
        shard = read_shard(raw)
        if shard is not None:
            self.shared.views.shards.wrote(raw, shard)
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
                leaving=self.feed.spec.suspend or is_leaving(self.sightings[worker]) or self._is_relieved(worker),
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

    def _sightings(self) -> dict[int, Sighting]:
        leases = {lease.name: lease for lease in self.world.leases}
        result = {}
        for worker in sorted({*range(self.feed.spec.workers), *self.shards, *self.pods}):
            shard = self.shards.get(worker)
            account = shard.spec.account if shard is not None else None
            result[worker] = Sighting(
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
        self.memory.processes[shard.worker] = Process(status.started_at, {**told, **before})


def grounds(shard: Shard) -> object:
    """What of a shard a decision can rest upon; how far a worker has published does so once it has let go."""
    status = shard.status
    told = status and (status.started_at, status.session, status.account, _can_publish(status))
    reports = status.contracts if status else ()
    marks = ((report.conid, report.epoch, report.state, report.kafka_epoch, _mark_of(report)) for report in reports)
    return (shard.uid, shard.deleting, shard.spec, told, tuple(marks))


def _can_publish(status: ShardStatus) -> bool:
    return status.kafka is not None and status.kafka.reachable is True


def _mark_of(report: Report) -> tuple[int | None, int | None] | None:
    return (report.event_time, report.seq) if report.state is ContractState.RELEASED else None
