"""Say how things stand: status, metrics, events."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from ibfeed_api.events import EventReason
from ibfeed_api.ib_calendar import closure_at
from ibfeed_api.reasons import Reason
from ibfeed_operator import metrics
from ibfeed_operator.controller.context import Context
from ibfeed_operator.controller.snapshot import write_status
from ibfeed_operator.model.feed_status import FeedStatus
from ibfeed_operator.model.types import Health, RootProblemKind, StatusInput, Worker, WorkerHealth
from ibfeed_operator.planning.assignment import Decision, balanced, unassigned
from ibfeed_operator.status.checks.universe import ROOT_REASONS, root_text
from ibfeed_operator.status.conditions import states_of
from ibfeed_operator.status.coverage import handed_over
from ibfeed_operator.status.feed import status_of

_REMARKS: Final = {
    str(Reason.COMPETING): EventReason.SESSION_CONTESTED,
    str(Reason.SUBSCRIPTION_REFUSED): EventReason.SUBSCRIPTION_REFUSED,
}


async def update_status(context: Context, decision: Decision | None, *, trouble: str = "") -> None:
    """Write the status if it says anything new.

    ``decision``: None if the cycle failed before one was made. ``trouble``: why the feed cannot be brought to its spec.
    """
    feed = context.feed
    absent = WorkerHealth(state=Health.ABSENT)
    workers = tuple(
        Worker(
            index=worker,
            health=context.verdicts[worker].health if worker in context.verdicts else absent,
            shard=context.shards.get(worker),
            pod=context.pods.get(worker),
            lease=context.assessment.observations[worker].lease if worker in context.assessment.observations else None,
            obstacle=context.memory.events.obstacle(worker),
            rival=_rival(context, worker),
        )
        for worker in sorted({*range(feed.spec.workers), *context.shards})
    )
    now = time.monotonic()
    context.memory.handing = {conid: context.memory.handing.get(conid, now) for conid in handed_over(workers)}
    status_input = StatusInput(
        feed=feed,
        universe=context.assessment.universe,
        image=feed.spec.worker.image or context.dependencies.settings.worker_image,
        workers=workers,
        leases=context.snapshot.leases,
        elsewhere=_elsewhere(context),
        unassigned=unassigned(decision, context.shards.values()) if decision is not None else (),
        placement=context.assessment.placement,
        handing_s={conid: now - since for conid, since in context.memory.handing.items()},
        unmet=decision.unmet if decision is not None else {},
        stranded=decision.stranded if decision is not None else frozenset(),
        without_standby=decision.without_standby if decision is not None else (),
        balanced=decision is not None and balanced(decision, context.shards.values()),
        on_hold=any(verdict.held for verdict in context.verdicts.values()),
        closure=closure_at(feed.spec.accounts.region, context.dependencies.clock()),
        trouble=trouble,
    )
    status = status_of(status_input, now=datetime.now(UTC))
    if status != feed.status:
        version = feed.resource_version
        await write_status(context.dependencies.kube, feed.namespace, feed.name, status, resource_version=version)
    _measure(context, status, status_input)
    await _record_events(context)


def _rival(context: Context, worker: int) -> str:
    """Another worker, of any namespace, whose account has the same user."""
    shard, observation = context.shards.get(worker), context.assessment.observations.get(worker)
    if shard is None or observation is None or observation.lease is None or not observation.lease.user:
        return ""
    me = f"{context.feed.namespace}/{shard.name}"
    found = (claim.worker for claim in context.snapshot.claims.all if claim.user == observation.lease.user)
    return next((other for other in found if other != me), "")


def _elsewhere(context: Context) -> dict[int, str]:
    """Accounts of the feed's vault that workers of other namespaces have, or that are parked there."""
    feed, claims = context.feed, context.snapshot.claims
    own = f"{feed.namespace}/"
    found = {
        claim.index: f"in use by {claim.worker}"
        for claim in claims.all
        if claim.vault == feed.spec.accounts.source and not claim.worker.startswith(own)
    }
    found |= {index: f"parked in namespace {where}" for index, where in (claims.parked or {}).items()}
    return {index: why for index, why in found.items() if index in feed.spec.accounts.indices}


def _measure(context: Context, status: FeedStatus, status_input: StatusInput) -> None:
    where = (context.feed.namespace, context.feed.name)
    metrics.CONTRACTS.labels(*where, "wanted").set(status.contract_count)
    metrics.CONTRACTS.labels(*where, "assigned").set(status.assigned_count)
    metrics.CONTRACTS.labels(*where, "publishing").set(status.publishing_count)
    metrics.CONTRACTS.labels(*where, "standby").set(status.standby_count)
    metrics.WORKERS.labels(*where, "wanted").set(context.feed.spec.workers)
    metrics.WORKERS.labels(*where, "streaming").set(status.workers)
    accounts = context.feed.spec.accounts
    known = [lease for lease in status_input.leases if lease.index in accounts.indices]
    metrics.ACCOUNTS.labels(*where, "configured").set(accounts.count)
    metrics.ACCOUNTS.labels(*where, "held").set(sum(bool(lease.holder) for lease in known))
    metrics.ACCOUNTS.labels(*where, "failing").set(sum(bool(lease.failed and not lease.parked) for lease in known))
    metrics.ACCOUNTS.labels(*where, "parked").set(sum(bool(lease.parked) for lease in known))
    metrics.IB_MAINTENANCE.labels(*where).set(status_input.closure is not None)
    metrics.show_conditions(*where, states_of(status))


def _new_remarks(context: Context) -> list[tuple[str, str, str]]:
    """Name, reason and message of each worker that streams and has just begun to say that something is wrong."""
    found = []
    for worker, shard in context.shards.items():
        status = shard.status
        streams = worker in context.verdicts and context.verdicts[worker].health.streaming
        reason = status.reason if status is not None and streams else ""
        if status is not None and reason in _REMARKS and context.memory.remarks.get(worker) != reason:
            found.append((shard.name, reason, status.message))
        context.memory.remarks[worker] = reason
    return found


async def _record_events(context: Context) -> None:
    post, feed = context.memory.recorder.post, context.feed
    for worker, verdict in context.verdicts.items():
        state, name = verdict.health.state, context.name_of(worker)
        before = context.memory.states.get(worker)
        context.memory.states[worker] = state
        if before is None or before is state:
            continue
        pod = context.pods.get(worker)
        stopping = feed.spec.suspend or (pod is not None and pod.deleting)
        if state is Health.LOST and not stopping:
            await post(feed, "Warning", EventReason.WORKER_LOST, name, f"{name} is lost: {verdict.health.reason}")
        elif state is Health.STREAMING:
            await post(feed, "Normal", EventReason.WORKER_STREAMING, name, f"{name} is streaming")
    for name, reason, message in _new_remarks(context):
        await post(feed, "Warning", _REMARKS[reason], name, f"{name}: {message}")
    for problem in context.assessment.universe.problems:
        root_reason = ROOT_REASONS.get(problem.kind)
        if root_reason is not None and problem.kind is not RootProblemKind.FAILED:  # that passes
            await post(feed, "Warning", EventReason(root_reason), problem.root, root_text(problem))
