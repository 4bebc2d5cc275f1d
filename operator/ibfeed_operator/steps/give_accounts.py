"""See that every wanted worker has a shard, and in it an account while there is one, before its pod needs them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

import msgspec

from ibfeed_api.feed import is_vault
from ibfeed_api.names import LogLevel
from ibfeed_api.shard import Account, ShardSpec
from ibfeed_operator import resources
from ibfeed_operator.accounts import Choice, Rules, choose, taken_back, wrongly_parked
from ibfeed_operator.claims import Claims
from ibfeed_operator.cluster import Conflict
from ibfeed_operator.facts import AccountLease
from ibfeed_operator.observe import claims_on, indices_elsewhere, leases_path
from ibfeed_operator.visit import Visit


async def give_accounts(visit: Visit) -> None:
    for lease in wrongly_parked(visit.world.leases):
        await _take_back(visit, lease)
    namespace, source, views = visit.feed.namespace, visit.feed.spec.accounts.source, visit.shared.views
    if _settled(visit, _choose(visit, visit.world.taken, visit.world.claims)):
        return
    # Two feeds on one source must not choose the same account: one at a time, and each sees what the other has chosen.
    where = "" if is_vault(source) else namespace
    async with visit.shared.choosing.setdefault((where, source), asyncio.Lock()):
        taken = await indices_elsewhere(visit.shared.cluster, namespace, source, but=visit.feed.name)
        claims = claims_on(views, namespace, source, visit.world.leases, visit.shared.clock())
        choices = _choose(visit, taken, claims)
        await _provide_turns(visit)
        for worker in range(visit.feed.spec.workers):
            await _provide(visit, worker, choices[visit.name_of(worker)])


async def _take_back(visit: Visit, lease: AccountLease) -> None:
    """It was parked before another account met the same: it is the login page, and nothing is held against it."""
    metadata = {"resourceVersion": lease.resource_version, "annotations": taken_back(lease)}
    with contextlib.suppress(Conflict):  # somebody wrote to it: the next cycle sees what
        await visit.shared.cluster.patch(f"{leases_path(visit.feed.namespace)}/{lease.name}", {"metadata": metadata})


def _choose(visit: Visit, taken: Iterable[int], claims: Claims) -> Mapping[str, Choice]:
    spec = visit.feed.spec
    departing = {
        index for worker in visit.shards if worker >= spec.workers and (index := _present(visit, worker)) is not None
    }
    workers = {visit.name_of(worker): _present(visit, worker) for worker in range(spec.workers)}
    source = spec.accounts.source
    rules = Rules(
        namespace=visit.feed.namespace,
        vault=source if is_vault(source) else "",
        claims=claims,
        now=visit.shared.clock(),
    )
    return choose(workers, spec.accounts.indices, visit.world.leases, {*taken, *departing}, rules)


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
        shard, choice = visit.shards.get(worker), choices[visit.name_of(worker)]
        index = choice.index
        if shard is None or _settings(shard.spec) != _wanted(visit) or _present(visit, worker) != index:
            return False
        if shard.spec.account is not None and shard.spec.account.used_by != choice.used_by:
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
        account = Account(
            source=accounts.source,
            index=choice.index,
            lease=accounts.lease_name(choice.index),
            used_by=choice.used_by,
        )
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
        # A merge patch: what the account no longer has must be told.
        plain = {"usedBy": None, **msgspec.to_builtins(account)} if account is not None else None
        lines, level = _wanted(visit)
        await visit.patch_shard(shard, {"account": plain, "lines": lines, "logLevel": str(level)})
    if choice.parked is not None:
        name = visit.name_of(worker)
        instead = f"{name} uses account {choice.index} instead" if choice.index is not None else "no other one is free"
        lease = next((lease for lease in visit.world.leases if lease.index == choice.parked), None)
        reason, what = ("AccountParked", "parked") if lease is None or lease.parked else ("AccountRefused", "refused")
        text = f"Account {choice.parked} is {what} after failed logins: see condition AccountsAvailable; {instead}."
        await visit.memory.announcer.post(feed, "Warning", reason, str(choice.parked), text)
    if choice.used_by:
        text = (
            f"{visit.name_of(worker)} must not log in: worker {choice.used_by} uses the user of account {choice.index}."
        )
        await visit.memory.announcer.post(feed, "Warning", "AccountInUse", visit.name_of(worker), text)
