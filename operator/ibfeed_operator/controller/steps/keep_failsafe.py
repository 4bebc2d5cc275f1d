"""Failsafe: name each worker's members, and find out about holders that do not renew (``ibfeed_api/failsafe.py``)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

import msgspec

from ibfeed_api.failsafe import Member
from ibfeed_api.lease import holder_of, pod_of
from ibfeed_api.worker_pod import WORKER_PORT, address_of
from ibfeed_operator.controller.context import Context
from ibfeed_operator.controller.inquiries import Case
from ibfeed_operator.controller.snapshot import leases_path
from ibfeed_operator.kube.client import JsonObject
from ibfeed_operator.kube.errors import ConflictError
from ibfeed_operator.model.types import Pod, Shard
from ibfeed_operator.planning.failsafe import Peer, members_of

# Workers come and go in waves, and each has up to five members: their shards are written once for a wave.
_EVERY_S: Final = 5.0
# In one cycle. A new operator writes all shards, and contracts of a worker that dies meanwhile must not wait for it.
_MOST: Final = 10


def inquire(context: Context) -> bool:
    """Have the members of Leases in doubt asked, in the background. Return whether there are any."""
    namespace = context.feed.namespace
    peers = {peer.member.name: peer.member for peer in _peers(context).values()}
    return context.memory.inquiries.refresh(
        Case(
            namespace=namespace,
            path=f"{leases_path(namespace)}/{lease.name}",
            lease=lease,
            holder=peers.get(lease.holder),
        )
        for lease in context.snapshot.leases
        if lease.doubtful and pod_of(lease.holder)
    )


async def name_members(context: Context) -> None:
    """Write each worker's members, and the key by which it knows this operator, into its shard."""
    now, dependencies = time.monotonic(), context.dependencies
    if now - context.memory.members_at < _EVERY_S:
        return
    key = dependencies.signer.public_key
    wanted = members_of(_peers(context), dependencies.as_member)
    due = [
        context.shards[worker]
        for worker, members in wanted.items()
        if (context.shards[worker].spec.members, context.shards[worker].spec.operator_key) != (members, key)
    ]
    if 0 < len(due) <= _MOST:
        context.memory.members_at = now
    spec_of = {shard.name: {"members": msgspec.to_builtins(wanted[shard.worker]), "operatorKey": key} for shard in due}
    await asyncio.gather(*(_patch(context, shard, spec_of[shard.name]) for shard in due[:_MOST]))


async def _patch(context: Context, shard: Shard, spec: JsonObject) -> None:
    with contextlib.suppress(ConflictError):  # the worker wrote meanwhile: the next wave
        await context.shards.patch(shard, spec)


def _peers(context: Context) -> dict[int, Peer]:
    """Workers that can be asked."""
    found = {worker: _peer(context, shard, context.pods.get(worker)) for worker, shard in context.shards.items()}
    return {worker: peer for worker, peer in found.items() if peer is not None}


def _peer(context: Context, shard: Shard, pod: Pod | None) -> Peer | None:
    if pod is None or not pod.ip or pod.deleting or shard.status is None or not shard.status.key:
        return None
    member = Member(
        namespace=context.feed.namespace,
        name=holder_of(pod.name, pod.uid),
        address=address_of(pod.ip, WORKER_PORT),
        key=shard.status.key,
    )
    return Peer(member, pod.node)
