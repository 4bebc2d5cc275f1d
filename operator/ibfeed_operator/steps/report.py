"""Say how things stand: status, metrics, events."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from ibfeed_api.names import Reason
from ibfeed_operator import metrics
from ibfeed_operator.coverage import handed_over
from ibfeed_operator.decide import balanced, unassigned
from ibfeed_operator.facts import Health, RootTrouble, Situation, Worker, WorkerHealth
from ibfeed_operator.feed_status import FeedStatus
from ibfeed_operator.findings import ROOT_REASONS, root_text
from ibfeed_operator.observe import write_status
from ibfeed_operator.status import status_of
from ibfeed_operator.visit import Visit

_REMARKS: Final = {
    str(Reason.COMPETING): "SessionContested",
    str(Reason.SUBSCRIPTION_REFUSED): "SubscriptionRefused",
}


async def report(visit: Visit, *, trouble: str = "") -> None:
    """Write the status if it says anything new. ``trouble``: why the feed cannot be brought to its spec."""
    feed = visit.feed
    decision = visit.decision
    absent = WorkerHealth(state=Health.ABSENT)
    workers = tuple(
        Worker(
            index=worker,
            health=visit.verdicts[worker].health if worker in visit.verdicts else absent,
            shard=visit.shards.get(worker),
            pod=visit.pods.get(worker),
            lease=visit.sightings[worker].lease if worker in visit.sightings else None,
            obstacle=visit.memory.events.obstacle(worker),
            rival=_rival(visit, worker),
        )
        for worker in sorted({*range(feed.spec.workers), *visit.shards})
    )
    now = time.monotonic()
    visit.memory.handing = {conid: visit.memory.handing.get(conid, now) for conid in handed_over(workers)}
    situation = Situation(
        feed=feed,
        universe=visit.universe,
        image=feed.spec.worker.image or visit.shared.settings.worker_image,
        workers=workers,
        leases=visit.world.leases,
        elsewhere=_elsewhere(visit),
        unassigned=unassigned(decision, visit.shards.values()) if decision is not None else (),
        placement=visit.placement,
        handing_s={conid: now - since for conid, since in visit.memory.handing.items()},
        unmet=decision.unmet if decision is not None else {},
        stranded=decision.stranded if decision is not None else frozenset(),
        balanced=decision is not None and balanced(decision, visit.shards.values()),
        on_hold=any(verdict.held for verdict in visit.verdicts.values()),
        trouble=trouble,
    )
    status = status_of(situation, now=datetime.now(UTC))
    if status != feed.status:
        version = feed.resource_version
        await write_status(visit.shared.cluster, feed.namespace, feed.name, status, resource_version=version)
    _measure(visit, status)
    await _announce(visit)


def _rival(visit: Visit, worker: int) -> str:
    """Another worker, of any namespace, whose account has the same user."""
    shard, sighting = visit.shards.get(worker), visit.sightings.get(worker)
    if shard is None or sighting is None or sighting.lease is None or not sighting.lease.user:
        return ""
    me = f"{visit.feed.namespace}/{shard.name}"
    found = (claim.worker for claim in visit.world.claims.all if claim.user == sighting.lease.user)
    return next((other for other in found if other != me), "")


def _elsewhere(visit: Visit) -> dict[int, str]:
    """Accounts of the feed's vault that workers of other namespaces have, or that are parked there."""
    feed, claims = visit.feed, visit.world.claims
    own = f"{feed.namespace}/"
    found = {
        claim.index: f"in use by {claim.worker}"
        for claim in claims.all
        if claim.vault == feed.spec.accounts.source and not claim.worker.startswith(own)
    }
    found |= {index: f"parked in namespace {where}" for index, where in (claims.parked or {}).items()}
    return {index: why for index, why in found.items() if index in feed.spec.accounts.indices}


def _measure(visit: Visit, status: FeedStatus) -> None:
    where = (visit.feed.namespace, visit.feed.name)
    metrics.CONTRACTS.labels(*where, "wanted").set(status.contract_count)
    metrics.CONTRACTS.labels(*where, "assigned").set(status.assigned_count)
    metrics.CONTRACTS.labels(*where, "publishing").set(status.publishing_count)
    metrics.WORKERS.labels(*where, "wanted").set(visit.feed.spec.workers)
    metrics.WORKERS.labels(*where, "streaming").set(status.workers)


def _new_remarks(visit: Visit) -> list[tuple[str, str, str]]:
    """Name, reason and message of each worker that streams and has just begun to say that something is wrong."""
    found = []
    for worker, shard in visit.shards.items():
        status = shard.status
        streams = worker in visit.verdicts and visit.verdicts[worker].health.streaming
        reason = status.reason if status is not None and streams else ""
        if status is not None and reason in _REMARKS and visit.memory.remarks.get(worker) != reason:
            found.append((shard.name, reason, status.message))
        visit.memory.remarks[worker] = reason
    return found


async def _announce(visit: Visit) -> None:
    post, feed = visit.memory.announcer.post, visit.feed
    for worker, verdict in visit.verdicts.items():
        state, name = verdict.health.state, visit.name_of(worker)
        before = visit.memory.states.get(worker)
        visit.memory.states[worker] = state
        if before is None or before is state:
            continue
        pod = visit.pods.get(worker)
        stopping = feed.spec.suspend or (pod is not None and pod.deleting)
        if state is Health.LOST and not stopping:
            await post(feed, "Warning", "WorkerLost", name, f"{name} is lost: {verdict.health.reason}")
        elif state is Health.STREAMING:
            await post(feed, "Normal", "WorkerStreaming", name, f"{name} is streaming")
    for name, reason, message in _new_remarks(visit):
        await post(feed, "Warning", _REMARKS[reason], name, f"{name}: {message}")
    for problem in visit.universe.problems:
        root_reason = ROOT_REASONS.get(problem.trouble)
        if root_reason is not None and problem.trouble is not RootTrouble.FAILED:  # that passes
            await post(feed, "Warning", root_reason, problem.root, root_text(problem))
