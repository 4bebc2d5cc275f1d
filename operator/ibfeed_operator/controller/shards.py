"""A feed's shards: as they were seen, and as this cycle has written them since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ibfeed_api.shard import ShardSpec
from ibfeed_operator import resources
from ibfeed_operator.controller.assessment import Assessment
from ibfeed_operator.controller.dependencies import Dependencies
from ibfeed_operator.controller.memory import Memory
from ibfeed_operator.controller.predicates import decision_inputs
from ibfeed_operator.controller.snapshot import Snapshot, shards_path
from ibfeed_operator.kube.client import JsonObject
from ibfeed_operator.kube.errors import ConflictError
from ibfeed_operator.model.decode import read_shard
from ibfeed_operator.model.types import Shard


class Shards(Mapping[int, Shard]):
    """By worker. Every write names the version that it rests on, and what it wrote is seen at once."""

    def __init__(self, dependencies: Dependencies, memory: Memory, snapshot: Snapshot, assessment: Assessment) -> None:
        self._dependencies: Final = dependencies
        self._memory: Final = memory
        self._feed: Final = snapshot.feed
        self._verdicts: Final = assessment.verdicts
        self._shards: Final = {shard.worker: shard for shard in snapshot.shards}

    def __getitem__(self, worker: int) -> Shard:
        return self._shards[worker]

    def __iter__(self) -> Iterator[int]:
        return iter(self._shards)

    def __len__(self) -> int:
        return len(self._shards)

    async def patch(self, shard: Shard, spec: JsonObject) -> None:
        """Change a shard's spec; raises ConflictError if anybody wrote to the shard since it was seen.

        A status that tells nothing new is no reason to decide again: of 200 workers some have always just told when
        their last tick came. So what is written rests on the newest version with the same inputs of a decision, which
        the watch has mostly told while the write waited for its turn; a refusal and another look cost as much as the
        write.
        """
        kube, informer = self._dependencies.kube, self._dependencies.informers.shards
        async with kube.turn():
            newest = informer.value((self._feed.namespace, shard.name))
            if newest is None or decision_inputs(newest) != decision_inputs(shard):
                raise ConflictError(f"{shard.name} has changed since it was seen")
            with informer.writing():
                try:
                    raw = await self._patch(shard, newest.resource_version, spec)
                except ConflictError:
                    now = read_shard(await kube.get(self._path_of(shard)))
                    if now is None or decision_inputs(now) != decision_inputs(shard):
                        raise
                    raw = await self._patch(shard, now.resource_version, spec)
        self._remember(raw)

    async def adopt(self, shard: Shard) -> None:
        """Make a shard that has lost its IbFeed this feed's; raises ConflictError if anybody wrote to it meanwhile."""
        manifest = resources.shard(self._feed, shard.spec)["metadata"]
        metadata = {key: manifest[key] for key in ("labels", "ownerReferences")}
        body = {"metadata": metadata | {"resourceVersion": shard.resource_version}}
        with self._dependencies.informers.shards.writing():
            raw = await self._dependencies.kube.patch(self._path_of(shard), body)
        self._remember(raw)

    async def create(self, spec: ShardSpec) -> None:
        with self._dependencies.informers.shards.writing():
            raw = await self._dependencies.kube.create(resources.shard(self._feed, spec))
        self._remember(raw)

    async def delete(self, shard: Shard) -> None:
        with self._dependencies.informers.shards.writing():
            await self._dependencies.kube.delete(self._path_of(shard), resource_version=shard.resource_version)
        del self._shards[shard.worker]
        self._memory.forget(shard.worker)

    def _path_of(self, shard: Shard) -> str:
        return f"{shards_path(self._feed.namespace)}/{shard.name}"

    async def _patch(self, shard: Shard, version: str, spec: JsonObject) -> bytes:
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        return await self._dependencies.kube.patch(self._path_of(shard), body)

    def _remember(self, raw: bytes) -> None:
        shard = read_shard(raw)
        if shard is not None:
            self._dependencies.informers.shards.wrote(raw, shard)
            self._shards[shard.worker] = shard
            verdict = self._verdicts.get(shard.worker)
            self._memory.processes.observe(shard, silent=verdict is not None and verdict.silent)
