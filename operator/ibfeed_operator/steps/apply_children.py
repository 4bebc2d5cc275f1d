"""Apply what a feed consists of besides its shards, and let workers go that are no longer wanted."""

from __future__ import annotations

import hashlib
import time
from typing import Final

import msgspec

from ibfeed_operator import resources
from ibfeed_operator.cluster import ClusterError, JsonObject, NotFound, path_of
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
        asked_again=_minute() if _is_refused(visit) else None,
    )
    for child in children:
        path, now = path_of(child), time.monotonic()
        digest = hashlib.sha256(msgspec.json.encode(child)).hexdigest()
        applied, at = visit.memory.applied.get(path, ("", 0.0))
        if digest != applied or now - at >= REAPPLY_S:
            version = await _version_of_ours(visit, path, child)
            visit.memory.applied.pop(path, None)  # should it fail, who knows what is there
            await visit.shared.cluster.apply(child, resource_version=version)
            visit.memory.applied[path] = (digest, now)


def _is_refused(visit: Visit) -> bool:
    events = visit.memory.events
    return any(events.obstacle(worker) for worker in range(visit.feed.spec.workers) if worker not in visit.pods)


def _minute() -> int:
    return int(time.monotonic() // REAPPLY_S)


async def remove_departed(visit: Visit) -> None:
    """Delete the shards of workers that are not wanted, once their contracts have moved and their pods are gone."""
    replicas = _replicas(visit)
    for worker, shard in list(visit.shards.items()):
        if worker < max(replicas, visit.feed.spec.workers) or worker in visit.pods or shard.spec.contracts:
            continue
        await visit.delete_shard(shard)


async def _version_of_ours(visit: Visit, path: str, child: JsonObject) -> str | None:
    """The object's resourceVersion, None if it isn't there. Raises ClusterError if it is there and not this feed's.

    Applying takes every field over: a feed named ``kafka`` would make the Service ``kafka`` its own.
    """
    try:
        found = msgspec.json.decode(await visit.shared.cluster.get(path), type=_Object)
    except NotFound:
        return None
    if visit.feed.uid not in (owner.uid for owner in found.metadata.owners):
        what, name = child["kind"], child["metadata"]["name"]
        raise ClusterError(f"{what} {name} is there already and not of this feed: give the IbFeed another name")
    return found.metadata.resource_version


class _Owner(msgspec.Struct):
    uid: str


class _Metadata(msgspec.Struct):
    resource_version: str = msgspec.field(name="resourceVersion")
    owners: tuple[_Owner, ...] = msgspec.field(name="ownerReferences", default=())


class _Object(msgspec.Struct):
    metadata: _Metadata


def _replicas(visit: Visit) -> int:
    """A worker that is to go keeps its pod until its contracts have left it."""
    if visit.feed.spec.suspend:
        return 0
    busy = (worker + 1 for worker, shard in visit.shards.items() if shard.spec.contracts)
    return max([visit.feed.spec.workers, *busy])
