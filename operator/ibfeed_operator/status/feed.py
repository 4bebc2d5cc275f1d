"""Builds ``IbFeed.status`` from the state of a feed after a cycle and its status before. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec

from ibfeed_api.labels import ANNOTATION_DRAIN
from ibfeed_api.reasons import Condition, Reason
from ibfeed_api.shard import EntryState, Session
from ibfeed_operator.model.feed_status import (
    MAX_CONTRACTS,
    MAX_SHARD_MESSAGE,
    MAX_SUMMARY,
    MAX_SYMBOLS,
    MAX_UNASSIGNED,
    MAX_WORKERS,
    ContractStatus,
    FeedStatus,
    UnassignedStatus,
    WorkerStatus,
)
from ibfeed_operator.model.text import clip, plural
from ibfeed_operator.model.types import StatusInput, Unassigned, UnassignedReason, Worker
from ibfeed_operator.resources.metadata import selector
from ibfeed_operator.status.checks import check_conditions
from ibfeed_operator.status.checks.common import streaming_count
from ibfeed_operator.status.checks.coverage import NO_LINE_TEXTS, capacity_advice
from ibfeed_operator.status.conditions import FALSE, UNKNOWN, CheckResult, set_conditions
from ibfeed_operator.status.coverage import Coverage, coverage, published_by
from ibfeed_operator.status.worker_problems import REASONS, problem_of


def status_of(status_input: StatusInput, *, now: datetime) -> FeedStatus:
    """Return the whole new status. ``now`` (timezone-aware) goes only into conditions that flip.

    Each key is always there and all nested values are in lists. So a merge patch replaces the whole status.
    """
    feed = status_input.feed
    contracts = status_input.universe.contracts
    cover = coverage(status_input.workers, status_input.handing_s)
    assigned = sum(contract.conid in cover.owners for contract in contracts)
    streaming = streaming_count(status_input)
    shards = tuple(_worker_status(worker, status_input) for worker in status_input.workers if worker.shard is not None)
    return FeedStatus(
        observed_generation=feed.generation,
        conditions=set_conditions(
            feed.status.conditions, check_conditions(status_input, cover), generation=feed.generation, now=now
        ),
        contract_count=len(contracts),
        assigned_count=assigned,
        publishing_count=sum(cover.publishing(contract.conid) for contract in contracts),
        unassigned_count=len(contracts) - assigned,
        standby_count=sum(contract.conid in cover.warm for contract in contracts),
        highest_epoch=max([feed.status.highest_epoch, *cover.epochs.values()]),
        replicas=sum(worker.pod is not None for worker in status_input.workers),
        workers=streaming,
        balanced_workers=feed.spec.workers if status_input.balanced else feed.status.balanced_workers,
        workers_summary=f"{streaming}/{feed.spec.workers}",
        shards_summary=clip(" ".join(_summary(shard) for shard in shards), MAX_SUMMARY),
        selector=",".join(f"{label}={value}" for label, value in selector(feed.name).items()),
        image=status_input.image,
        shards=shards[:MAX_WORKERS],
        contracts=tuple(_contract_status(status_input, cover))[:MAX_CONTRACTS],
        unassigned=tuple(_unassigned_status(item, status_input) for item in status_input.unassigned[:MAX_UNASSIGNED]),
        truncated=len(contracts) > MAX_CONTRACTS or len(status_input.unassigned) > MAX_UNASSIGNED,
    )


def status_of_invalid(previous: FeedStatus, *, generation: int, message: str, now: datetime) -> FeedStatus:
    """Return the status of a feed whose spec cannot be read (written for another version). The rest stays as it was."""
    ready = CheckResult(
        Condition.READY, FALSE, Reason.INVALID_SPEC, f"the spec cannot be read: {message}; workers go on as they are"
    )
    others = (
        CheckResult(condition, UNKNOWN, Reason.INVALID_SPEC, "the spec cannot be read")
        for condition in Condition
        if condition is not Condition.READY
    )
    conditions = set_conditions(previous.conditions, (ready, *others), generation=generation, now=now)
    return msgspec.structs.replace(previous, observed_generation=generation, conditions=conditions)


def manifest(status: FeedStatus) -> dict[str, Any]:
    """Return the status as plain JSON values."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(status))
    return plain


def _worker_status(worker: Worker, status_input: StatusInput) -> WorkerStatus:
    feed, drained = status_input.feed, status_input.placement.drained
    shard = worker.shard
    assert shard is not None  # noqa: S101 - the caller has filtered
    mine = [entry for entry in shard.spec.contracts if entry.state is not EntryState.STANDBY]
    problem = problem_of(worker, feed)
    reason, message = (problem.reason, problem.text) if problem is not None else _remark(worker, drained, len(mine))
    return WorkerStatus(
        worker=shard.name,
        session=str(_session(worker)),
        account=shard.spec.account.index if shard.spec.account is not None else None,
        contracts=len(mine),
        publishing=len(published_by(worker)),
        standbys=sum(entry.hot for entry in shard.spec.contracts),
        image=worker.pod.image if worker.pod is not None and worker.pod.image != status_input.image else "",
        symbols=tuple(entry.symbol for entry in mine[:MAX_SYMBOLS]),
        reason=str(reason) if reason is not None else "",
        message=clip(message, MAX_SHARD_MESSAGE),
    )


def _remark(worker: Worker, drained: Collection[int], contracts: int) -> tuple[str | None, str]:
    """Return a reason and a remark on a worker that streams: the operator's own, or else the worker's."""
    if worker.index in drained and contracts:
        return Reason.DRAINING, f"is being drained: {plural(contracts, 'contract')} to go"
    if worker.index in drained:
        return Reason.DRAINED, f"is drained, until its annotation {ANNOTATION_DRAIN} is taken away"
    status = worker.shard.status if worker.shard is not None else None
    if status is not None and status.kafka is not None and status.kafka.reachable is False:
        return REASONS.get(status.kafka.reason, Reason.KAFKA_UNREACHABLE), f"cannot publish: {status.kafka.message}"
    if worker.health.probation:
        return Reason.SETTLING, f"was {worker.health.probation}"
    status = worker.shard.status if worker.shard is not None else None
    return (status.reason, status.message) if status is not None and status.reason else (None, "")


def _session(worker: Worker) -> Session:
    """Return the session that the worker last reported, or Stopped if that process has ended."""
    if worker.pod is None or not worker.pod.container_running:
        return Session.STOPPED
    status = worker.shard.status if worker.shard is not None else None
    return status.session if status is not None else Session.STARTING


def _summary(shard: WorkerStatus) -> str:
    account = "-" if shard.account is None else shard.account
    return f"{shard.worker}→{account}:{shard.contracts}"


def _contract_status(status_input: StatusInput, cover: Coverage) -> list[ContractStatus]:
    names: dict[int | None, str] = {worker.index: worker.shard.name for worker in status_input.workers if worker.shard}
    remembered = {contract.conid: contract.epoch for contract in status_input.feed.status.contracts}
    return [
        ContractStatus(
            conid=contract.conid,
            symbol=contract.symbol,
            root=contract.root,
            exchange=contract.exchange,
            trading_class=contract.trading_class,
            multiplier=contract.multiplier,
            currency=contract.currency,
            contract_month=contract.contract_month,
            last_trading_day=contract.last_trading_day,
            slot=contract.slot,
            # While no worker has the contract, its last epoch is stored here and nowhere else.
            epoch=max(cover.epochs.get(contract.conid, 0), remembered.get(contract.conid, 0)),
            worker=names.get(cover.owners.get(contract.conid)),
            standby=names.get(cover.standbys.get(contract.conid)) if contract.conid in cover.warm else None,
            publishing=cover.publishing(contract.conid),
            depth=contract.depth,
        )
        for contract in status_input.universe.contracts
    ]


def _unassigned_status(item: Unassigned, status_input: StatusInput) -> UnassignedStatus:
    texts = {
        UnassignedReason.CAPACITY: capacity_advice(status_input),
        **NO_LINE_TEXTS,
        UnassignedReason.DEPTH_CAPACITY: "ticks are streamed, but every account's one order book is taken: add workers",
        UnassignedReason.NO_WORKERS: "no worker is streaming; see condition Ready",
        UnassignedReason.MOVING: "its last worker has not let go yet",
    }
    return UnassignedStatus(conid=item.conid, symbol=item.symbol, reason=str(item.reason), message=texts[item.reason])
