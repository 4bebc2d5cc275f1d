"""Apply what a feed consists of besides its shards, and let workers go that are no longer wanted."""

from __future__ import annotations

import hashlib
import time
from typing import Final

import msgspec

from ibfeed_operator import resources
from ibfeed_operator.controller.context import Context
from ibfeed_operator.kube.client import JsonObject, path_of
from ibfeed_operator.kube.errors import KubeError, NotFoundError
from ibfeed_operator.model.ownership import Ownership, ownership_of
from ibfeed_operator.model.types import Owner

REAPPLY_S: Final = 60.0  # what somebody changes in an object of ours lasts this long


async def apply_children(context: Context) -> None:
    """Server-side apply whatever differs from what this process applied last, and all of it now and then."""
    settings = context.dependencies.settings
    children = resources.children(
        context.feed,
        image=settings.worker_image,
        operator_namespace=settings.operator_namespace,
        replicas=_replicas(context),
        shards=[shard.name for shard in context.shards.values()],
        asked_again=_minute() if _is_refused(context) else None,
    )
    for child in children:
        path, now = path_of(child), time.monotonic()
        digest = hashlib.sha256(msgspec.json.encode(child)).hexdigest()
        applied, at = context.memory.applied.get(path, ("", 0.0))
        if digest != applied or now - at >= REAPPLY_S:
            version = await _version_to_apply_to(context, path, child)
            context.memory.applied.pop(path, None)  # should it fail, who knows what is there
            await context.dependencies.kube.apply(child, resource_version=version)
            context.memory.applied[path] = (digest, now)


def _is_refused(context: Context) -> bool:
    events = context.memory.events
    return any(events.obstacle(worker) for worker in range(context.feed.spec.workers) if worker not in context.pods)


def _minute() -> int:
    return int(time.monotonic() // REAPPLY_S)


async def remove_departed(context: Context) -> None:
    """Delete the shards of workers that are not wanted, once their contracts have moved and their pods are gone."""
    replicas = _replicas(context)
    for worker, shard in list(context.shards.items()):
        if worker < max(replicas, context.feed.spec.workers) or worker in context.pods or shard.spec.contracts:
            continue
        await context.shards.delete(shard)


async def _version_to_apply_to(context: Context, path: str, child: JsonObject) -> str | None:
    """The object's resourceVersion, None if it isn't there. Raises ClusterError if it is there and not this feed's.

    Applying takes every field over: a feed named ``kafka`` would make the Service ``kafka`` its own. An object that an
    earlier IbFeed of this name has left is adopted first: its owner is replaced, for an object has only one
    controller.
    """
    kube = context.dependencies.kube
    try:
        found = msgspec.json.decode(await kube.get(path), type=_ChildObject).metadata
    except NotFoundError:
        return None
    what = f"{child['kind']} {child['metadata']['name']}"
    whose = ownership_of(context.feed, found.labels, found.owner_references)
    if whose is Ownership.FOREIGN:
        raise KubeError(f"{what} is there already and not of this feed: give the IbFeed another name")
    if whose is Ownership.OWN:
        return found.resource_version
    if found.deletion_timestamp is not None:
        raise KubeError(f"{what} is being deleted with an earlier IbFeed of this name: waiting until it is gone")
    owners = {"resourceVersion": found.resource_version, "ownerReferences": child["metadata"]["ownerReferences"]}
    adopted = msgspec.json.decode(await kube.patch(path, {"metadata": owners}), type=_ChildObject).metadata
    await context.record_adoption(what)
    return adopted.resource_version


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str
    labels: dict[str, str] = {}
    owner_references: tuple[Owner, ...] = ()
    deletion_timestamp: str | None = None


class _ChildObject(msgspec.Struct):
    metadata: _Metadata


def _replicas(context: Context) -> int:
    """A worker that is to go keeps its pod until its contracts have left it."""
    if context.feed.spec.suspend:
        return 0
    busy = (worker + 1 for worker, shard in context.shards.items() if shard.spec.contracts)
    return max([context.feed.spec.workers, *busy])
