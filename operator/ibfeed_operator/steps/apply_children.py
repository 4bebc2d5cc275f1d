"""Apply what a feed consists of besides its shards, and let workers go that are no longer wanted."""

from __future__ import annotations

import hashlib
import time
from typing import Final

import msgspec

from ibfeed_operator import resources
from ibfeed_operator.cluster import path_of
from ibfeed_operator.visit import Visit

REAPPLY_S: Final = 60.0  # what somebody changes in an object of ours lasts this long


async def apply_children(visit: Visit) -> None:
    """Server-side apply whatever differs from what this process applied last, and all of it now and then."""
    settings = visit.shared.settings
    children = resources.children(
        visit.feed,
        image=settings.worker_image,
        operator_namespace=settings.operator_namespace,
        replicas=_replicas(visit),
        shards=[shard.name for shard in visit.shards.values()],
    )
    for child in children:
        path, now = path_of(child), time.monotonic()
        digest = hashlib.sha256(msgspec.json.encode(child)).hexdigest()
        applied, at = visit.memory.applied.get(path, ("", 0.0))
        if digest != applied or now - at >= REAPPLY_S:
            await visit.shared.cluster.apply(child)
            visit.memory.applied[path] = (digest, now)


async def remove_departed(visit: Visit) -> None:
    """Delete the shards of workers that are not wanted, once their contracts have moved and their pods are gone."""
    replicas = _replicas(visit)
    for worker, shard in list(visit.shards.items()):
        if worker < max(replicas, visit.feed.spec.workers) or worker in visit.pods or shard.spec.contracts:
            continue
        await visit.shared.cluster.delete(visit.shard_path(shard), resource_version=shard.resource_version)
        del visit.shards[worker]
        visit.memory.forget(worker)


def _replicas(visit: Visit) -> int:
    """A worker that is to go keeps its pod until its contracts have left it."""
    if visit.feed.spec.suspend:
        return 0
    busy = (worker + 1 for worker, shard in visit.shards.items() if shard.spec.contracts)
    return max([visit.feed.spec.workers, *busy])
