"""See that every wanted worker has a shard, and in it an account while there is one, before its pod needs them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

import msgspec

from ibfeed_api.names import LogLevel
from ibfeed_api.shard import Account, ShardSpec
from ibfeed_operator import resources
from ibfeed_operator.accounts import Choice, choose
from ibfeed_operator.cluster import Conflict
from ibfeed_operator.observe import indices_elsewhere
from ibfeed_operator.visit import Visit


async def give_accounts(visit: Visit) -> None:
    source = visit.feed.spec.accounts.source
    if _settled(visit, _choose(visit, visit.world.taken)):
        return
    # Two feeds on one source must not choose the same account: one at a time, and each sees what the other has chosen.
    async with visit.shared.choosing.setdefault((visit.feed.namespace, source), asyncio.Lock()):
        taken = await indices_elsewhere(visit.shared.cluster, visit.feed.namespace, source, but=visit.feed.name)
        choices = _choose(visit, taken)
        await _provide_turns(visit)
        for worker in range(visit.feed.spec.workers):
            await _provide(visit, worker, choices[visit.name_of(worker)])


def _choose(visit: Visit, taken: Iterable[int]) -> Mapping[str, Choice]:
    spec = visit.feed.spec
    departing = {
        index for worker in visit.shards if worker >= spec.workers and (index := _present(visit, worker)) is not None
    }
    workers = {visit.name_of(worker): _present(visit, worker) for worker in range(spec.workers)}
    return choose(workers, spec.accounts.indices, visit.world.leases, {*taken, *departing})


def _present(visit: Visit, worker: int) -> int | None:
    """The index that a worker has on the feed's source."""
    shard = visit.shards.get(worker)
    account = shard.spec.account if shard is not None else None
    return account.index if account is not None and account.source == visit.feed.spec.accounts.source else None


def _settled(visit: Visit, choices: Mapping[str, Choice]) -> bool:
    spec = visit.feed.spec
    known = {lease.index for lease in visit.world.leases}
    if not _has_turns(visit):
        return False
    for worker in range(spec.workers):
        shard, index = visit.shards.get(worker), choices[visit.name_of(worker)].index
        if shard is None or _settings(shard.spec) != _wanted(visit) or _present(visit, worker) != index:
            return False
        if index is not None and index not in known:
            return False
    return True


def _settings(shard: ShardSpec) -> tuple[int, LogLevel]:
    """What a shard passes on of its feed's settings, which a worker obeys without a restart."""
    return shard.lines, shard.log_level


def _wanted(visit: Visit) -> tuple[int, LogLevel]:
    return visit.feed.spec.accounts.lines_per_account, visit.feed.spec.worker.log_level


def _has_turns(visit: Visit) -> bool:
    return any(lease.name == visit.feed.spec.accounts.logins_lease_name for lease in visit.world.leases)


async def _provide_turns(visit: Visit) -> None:
    if not _has_turns(visit):
        with contextlib.suppress(Conflict):  # it was made after we looked
            await visit.shared.cluster.create(resources.logins_lease(visit.feed.namespace, visit.feed.spec.accounts))


async def _provide(visit: Visit, worker: int, choice: Choice) -> None:
    feed, accounts = visit.feed, visit.feed.spec.accounts
    account = None
    if choice.index is not None:
        account = Account(source=accounts.source, index=choice.index, lease=accounts.lease_name(choice.index))
        if all(lease.index != choice.index for lease in visit.world.leases):
            with contextlib.suppress(Conflict):  # it was made after we looked
                await visit.shared.cluster.create(resources.account_lease(feed.namespace, accounts, choice.index))
    shard = visit.shards.get(worker)
    if shard is None:
        fresh = ShardSpec(
            feed=feed.name,
            worker=worker,
            account=account,
            lines=accounts.lines_per_account,
            log_level=feed.spec.worker.log_level,
        )
        await visit.create_shard(fresh)
    elif shard.spec.account != account or _settings(shard.spec) != _wanted(visit):
        plain = msgspec.to_builtins(account) if account is not None else None
        lines, level = _wanted(visit)
        await visit.patch_shard(shard, {"account": plain, "lines": lines, "logLevel": str(level)})
    if choice.parked is not None:
        name = visit.name_of(worker)
        instead = f"{name} uses account {choice.index} instead" if choice.index is not None else "no other one is free"
        await visit.memory.announcer.post(
            feed,
            "Warning",
            "AccountParked",
            str(choice.parked),
            f"Account {choice.parked} is parked after failed logins, until a person has seen to it; {instead}.",
        )
