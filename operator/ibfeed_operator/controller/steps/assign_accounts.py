"""See that every wanted worker has a shard, and in it an account while there is one, before its pod needs them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

import msgspec

from ibfeed_api.events import EventReason
from ibfeed_api.feed import is_vault
from ibfeed_api.shard import Account, ShardSpec
from ibfeed_api.worker_pod import LogLevel
from ibfeed_operator import resources
from ibfeed_operator.controller.context import Context
from ibfeed_operator.controller.snapshot import claims_on, indices_elsewhere, leases_path
from ibfeed_operator.kube.errors import ConflictError
from ibfeed_operator.model.types import AccountLease
from ibfeed_operator.planning.accounts import Choice, Rules, choose, taken_back, wrongly_parked
from ibfeed_operator.planning.claims import Claims


async def assign_accounts(context: Context) -> None:
    for lease in wrongly_parked(context.snapshot.leases):
        await _take_back(context, lease)
    namespace, source, informers = (
        context.feed.namespace,
        context.feed.spec.accounts.source,
        context.dependencies.informers,
    )
    if _settled(context, _choose(context, context.snapshot.taken, context.snapshot.claims)):
        return
    # Two feeds on one source must not choose the same account: one at a time, and each sees what the other has chosen.
    where = "" if is_vault(source) else namespace
    async with context.dependencies.choosing.setdefault((where, source), asyncio.Lock()):
        taken = await indices_elsewhere(context.dependencies.kube, namespace, source, but=context.feed.name)
        claims = claims_on(informers, namespace, source, context.snapshot.leases, context.dependencies.clock())
        choices = _choose(context, taken, claims)
        await _provide_turns(context)
        for worker in range(context.feed.spec.workers):
            await _provide(context, worker, choices[context.name_of(worker)])


async def _take_back(context: Context, lease: AccountLease) -> None:
    """It was parked before another account met the same: it is the login page, and nothing is held against it."""
    metadata = {"resourceVersion": lease.resource_version, "annotations": taken_back(lease)}
    with contextlib.suppress(ConflictError):  # somebody wrote to it: the next cycle sees what
        await context.dependencies.kube.patch(
            f"{leases_path(context.feed.namespace)}/{lease.name}", {"metadata": metadata}
        )


def _choose(context: Context, taken: Iterable[int], claims: Claims) -> Mapping[str, Choice]:
    spec = context.feed.spec
    departing = {
        index
        for worker in context.shards
        if worker >= spec.workers and (index := _present(context, worker)) is not None
    }
    workers = {context.name_of(worker): _present(context, worker) for worker in range(spec.workers)}
    source = spec.accounts.source
    rules = Rules(
        namespace=context.feed.namespace,
        vault=source if is_vault(source) else "",
        claims=claims,
        now=context.dependencies.clock(),
    )
    return choose(workers, spec.accounts.indices, context.snapshot.leases, {*taken, *departing}, rules)


def _present(context: Context, worker: int) -> int | None:
    """The index that a worker has on the feed's source."""
    shard = context.shards.get(worker)
    account = shard.spec.account if shard is not None else None
    return account.index if account is not None and account.source == context.feed.spec.accounts.source else None


def _settled(context: Context, choices: Mapping[str, Choice]) -> bool:
    spec = context.feed.spec
    known = {lease.index for lease in context.snapshot.leases}
    if not _has_turns(context):
        return False
    for worker in range(spec.workers):
        shard, choice = context.shards.get(worker), choices[context.name_of(worker)]
        index = choice.index
        if shard is None or _settings(shard.spec) != _wanted(context) or _present(context, worker) != index:
            return False
        if shard.spec.account is not None and shard.spec.account.used_by != choice.used_by:
            return False
        if index is not None and index not in known:
            return False
    return True


def _settings(shard: ShardSpec) -> tuple[int, LogLevel]:
    """The feed's settings that a shard passes on: a worker obeys them without a restart."""
    return shard.lines, shard.log_level


def _wanted(context: Context) -> tuple[int, LogLevel]:
    return context.feed.spec.accounts.lines_per_account, context.feed.spec.worker.log_level


def _has_turns(context: Context) -> bool:
    return any(lease.name == context.feed.spec.accounts.logins_lease_name for lease in context.snapshot.leases)


async def _provide_turns(context: Context) -> None:
    if not _has_turns(context):
        with contextlib.suppress(ConflictError):  # it was made after we looked
            await context.dependencies.kube.create(
                resources.logins_lease(context.feed.namespace, context.feed.spec.accounts)
            )


async def _provide(context: Context, worker: int, choice: Choice) -> None:
    feed, accounts = context.feed, context.feed.spec.accounts
    account = None
    if choice.index is not None:
        account = Account(
            source=accounts.source,
            index=choice.index,
            lease=accounts.lease_name(choice.index),
            used_by=choice.used_by,
        )
        if all(lease.index != choice.index for lease in context.snapshot.leases):
            with contextlib.suppress(ConflictError):  # it was made after we looked
                await context.dependencies.kube.create(resources.account_lease(feed.namespace, accounts, choice.index))
    shard = context.shards.get(worker)
    if shard is None:
        fresh = ShardSpec(
            feed=feed.name,
            worker=worker,
            account=account,
            lines=accounts.lines_per_account,
            log_level=feed.spec.worker.log_level,
        )
        await context.shards.create(fresh)
    elif shard.spec.account != account or _settings(shard.spec) != _wanted(context):
        # A merge patch: what the account no longer has must be told.
        plain = {"usedBy": None, **msgspec.to_builtins(account)} if account is not None else None
        lines, level = _wanted(context)
        await context.shards.patch(shard, {"account": plain, "lines": lines, "logLevel": str(level)})
    if choice.parked is not None:
        name = context.name_of(worker)
        instead = f"{name} uses account {choice.index} instead" if choice.index is not None else "no other one is free"
        lease = next((lease for lease in context.snapshot.leases if lease.index == choice.parked), None)
        is_parked = lease is None or bool(lease.parked)
        reason = EventReason.ACCOUNT_PARKED if is_parked else EventReason.ACCOUNT_REFUSED
        what = "parked" if is_parked else "refused"
        text = f"Account {choice.parked} is {what} after failed logins: see condition AccountsAvailable; {instead}."
        await context.memory.recorder.post(feed, "Warning", reason, str(choice.parked), text)
    if choice.used_by:
        name = context.name_of(worker)
        text = f"{name} must not log in: worker {choice.used_by} uses the user of account {choice.index}."
        await context.memory.recorder.post(feed, "Warning", EventReason.ACCOUNT_IN_USE, name, text)
