"""A look ahead: what would move, and why, if an edited spec were applied now. Pure.

``preview`` makes a plan with the planner of each cycle (``assignment.decide``) for the edited spec, and compares it
with where the contracts are. Nothing is written, and no memory of an operator is needed: a worker is judged by this
moment, and IB's refusals are those that workers report now.

It takes for granted that workers on their way come to stream, if there is an account for them. A worker that is lost
now stays lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from ibfeed_api.feed import FeedSpec, is_vault
from ibfeed_api.kinds import shard_name
from ibfeed_api.plan import ChangeKind, ContractChange, PlanDocument, StandbyChange, WorkerChange, WorkerPlan
from ibfeed_operator.liveness.diagnosis import observe
from ibfeed_operator.liveness.tracker import LivenessTracker, Verdict
from ibfeed_operator.model.text import listed, plural
from ibfeed_operator.model.types import (
    AccountLease,
    Contract,
    Feed,
    Health,
    KafkaAccess,
    Placement,
    Pod,
    RootProblemKind,
    Shard,
    UnassignedReason,
    Universe,
    WorkerHealth,
)
from ibfeed_operator.planning.accounts import Rules, choose
from ibfeed_operator.planning.assignment import Decision, decide
from ibfeed_operator.planning.claims import Claims
from ibfeed_operator.planning.handover_state import Holding, hot_standbys, owners
from ibfeed_operator.planning.holdings import holdings_of
from ibfeed_operator.planning.placement import placement
from ibfeed_operator.planning.refusals import Refusals
from ibfeed_operator.planning.universe import Answer, merge, remembered, trading_day
from ibfeed_operator.resources.pod import pod_template

_TO_COME: Final = (Health.ABSENT, Health.STARTING)
_WHY_NONE: Final = {
    UnassignedReason.CAPACITY: "all lines are used up: add workers and accounts, or stream fewer months",
    UnassignedReason.NO_ACCOUNT: "no line is left, and for another worker no account",
    UnassignedReason.WORKER_MISSING: "no line is left but at workers that do not stream",
    UnassignedReason.DRAINED: "no line is left but at a drained worker",
    UnassignedReason.KAFKA: "no line is left but at workers that cannot publish",
    UnassignedReason.NO_WORKERS: "no worker streams",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A feed and all that belongs to it, at one moment; as in ``controller.snapshot.Snapshot``.

    Args:
        answers: IB's latest, by ``Root.label``, if they are known. Without them the contracts are those of shards and
            status.
        now: tells which contracts have expired, and which accounts are due again.
    """

    feed: Feed
    shards: tuple[Shard, ...]
    pods: tuple[Pod, ...]
    leases: tuple[AccountLease, ...]
    now: datetime
    taken: frozenset[int] = frozenset()
    claims: Claims = field(default_factory=Claims)
    answers: Mapping[str, Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outlook:
    """A plan for one spec, with what it rests on. ``accounts``: of each wanted worker; None: none is free."""

    feed: Feed
    universe: Universe
    holdings: tuple[Holding, ...]
    verdicts: Mapping[int, Verdict]
    placement: Placement
    accounts: Mapping[int, int | None]
    refused: Mapping[int, frozenset[int]]
    assumed: frozenset[int]  # workers that do not stream yet, and are taken for streaming
    decision: Decision


def preview(world: World, spec: FeedSpec) -> PlanDocument:
    """Return what would become of the feed if its spec were ``spec``."""
    now, then = _look_ahead(world, world.feed.spec), _look_ahead(world, spec)
    workers = tuple(_workers(world, now, then))
    moving = not spec.suspend
    return PlanDocument(
        feed=world.feed.name,
        generation=world.feed.generation,
        changes=tuple(_changes(remembered(world.feed, world.shards), now, then)) if moving else (),
        standbys=tuple(_standbys(now, then)) if moving else (),
        workers=workers,
        restarts=tuple(_restarts(now.feed, then.feed, workers)),
        notes=tuple(_notes(now, then, frozenset(shard.worker for shard in world.shards))),
    )


def _look_ahead(world: World, spec: FeedSpec) -> _Outlook:
    """Plan as the cycle would under ``spec``."""
    feed = replace(world.feed, spec=spec)
    known, pods = remembered(feed, world.shards), {pod.worker: pod for pod in world.pods}
    universe = merge(spec, known, world.answers, today=trading_day(world.now))
    observations = observe(feed, world.shards, pods, world.leases, {})
    verdicts, accounts = LivenessTracker().assess(observations, 0.0), _accounts(world, spec)
    held = {
        holding.worker: holding for holding in holdings_of(spec, world.shards, observations, verdicts, lambda _: {})
    }
    assumed = set()
    for worker in range(spec.workers):
        held.setdefault(worker, Holding(worker=worker, lines=spec.accounts.lines_per_account))
        # All workers of a suspended feed are without a pod, with their contracts.
        to_come = verdicts[worker].health.state in _TO_COME or world.feed.spec.suspend
        if to_come and accounts[worker] is not None:
            assumed.add(worker)
            verdicts[worker] = Verdict(health=WorkerHealth(state=Health.STREAMING), silent=False)
    holdings = tuple(held[worker] for worker in sorted(held))
    refusals = Refusals()
    refusals.observe(holdings, 0.0)
    wishes = placement(feed, universe, world.shards)
    decision = decide(
        feed,
        universe,
        holdings,
        verdicts,
        placement=wishes,
        accountless=frozenset(worker for worker, index in accounts.items() if index is None),
        refused=refusals.by_contract(),
        full=refusals.full(),
        nodes={worker: pod.node for worker, pod in pods.items()},
    )
    return _Outlook(
        feed=feed,
        universe=universe,
        holdings=holdings,
        verdicts=verdicts,
        placement=wishes,
        accounts=accounts,
        refused=refusals.by_contract(),
        assumed=frozenset(assumed),
        decision=decision,
    )


def _accounts(world: World, spec: FeedSpec) -> Mapping[int, int | None]:
    """Return the account that each wanted worker has or would get; None: none is free."""
    name, source = world.feed.name, spec.accounts.source
    had = {
        shard.worker: shard.spec.account.index
        for shard in world.shards
        if shard.spec.account is not None and shard.spec.account.source == source
    }
    workers = {shard_name(name, worker): had.get(worker) for worker in range(spec.workers)}
    same = source == world.feed.spec.accounts.source  # of another source nothing is known here
    rules = Rules(
        namespace=world.feed.namespace,
        vault=source if is_vault(source) else "",
        claims=world.claims if same else Claims(),
        now=world.now,
    )
    departing = {index for worker, index in had.items() if worker >= spec.workers}
    taken = {*world.taken, *departing} if same else set()
    choices = choose(workers, spec.accounts.indices, world.leases if same else (), taken, rules)
    return {worker: choices[shard_name(name, worker)].index for worker in range(spec.workers)}


def _changes(known: Mapping[int, Contract], now: _Outlook, then: _Outlook) -> Iterable[ContractChange]:
    """Contracts that do not stay where they are: those of the edited feed, nearest first, then those that go."""
    before, after = owners(now.holdings), then.decision.targets.owners
    anyhow = now.decision.targets
    contracts = {contract.conid: contract for contract in then.universe.contracts}
    loads = Counter(before.values())
    for contract in sorted(contracts.values(), key=lambda one: (one.last_trading_day, one.symbol)):
        conid, old, new = contract.conid, before.get(contract.conid), after.get(contract.conid)
        if old == new and new is not None:
            continue
        if new is None:
            why = then.decision.unassigned.get(conid)
            kind, reason = ChangeKind.UNASSIGNED, _WHY_NONE.get(why, str(why)) if why is not None else ""
        elif old is None:
            kind, reason = ChangeKind.NEW, "it had no worker" if conid in known else "it is new in the feed"
        else:
            kind, reason = ChangeKind.MOVE, _why_moved(then, conid, old, new, loads)
        anyway = conid in anyhow.contracts and anyhow.owners.get(conid) == new
        yield _change(then.feed, contract, kind, (old, new), reason, anyway=anyway)
    roots = {root.symbol for root in then.feed.spec.roots}
    for conid, old in before.items():
        if conid not in contracts and conid in known:
            gone, anyway = known[conid], conid not in anyhow.contracts
            reason = "it is beyond frontMonths" if gone.root in roots else f"{gone.root} is no root of the feed"
            reason = "the present spec does not have it either" if anyway else reason
            yield _change(then.feed, gone, ChangeKind.REMOVED, (old, None), reason, anyway=anyway)


def _change(
    feed: Feed,
    contract: Contract,
    kind: ChangeKind,
    way: tuple[int | None, int | None],
    reason: str,
    *,
    anyway: bool,
) -> ContractChange:
    return ContractChange(
        conid=contract.conid,
        symbol=contract.symbol,
        kind=kind,
        source=_name(feed, way[0]),
        target=_name(feed, way[1]),
        reason=reason,
        anyway=anyway,
    )


def _why_moved(then: _Outlook, conid: int, old: int, new: int, loads: Mapping[int, int]) -> str:
    """The first of the planner's causes that holds for a contract which leaves ``old`` for ``new``."""
    feed, name = then.feed, shard_name(then.feed.name, old)
    health = then.verdicts[old].health
    if old >= feed.spec.workers:
        return f"{name} is no longer wanted"
    if then.placement.pins.get(conid) == new:
        return f"it is pinned to {shard_name(feed.name, new)}"
    if old in then.placement.drained:
        return f"{name} is drained"
    if then.verdicts[old].relieved:
        return f"{name} logs in again"
    if not health.streaming:
        return f"{name} does not stream" + (f": {health.reason}" if health.reason else "")
    if health.kafka is KafkaAccess.CUT_OFF:
        return f"{name} cannot publish"
    if old in then.refused.get(conid, ()):
        return f"IB refuses it to the account of {name}"
    if loads[old] > feed.spec.accounts.lines_per_account:
        return f"{name} has {plural(feed.spec.accounts.lines_per_account, 'line')}"
    return f"loads are evened (rebalance: {feed.spec.rebalance})"


def _standbys(now: _Outlook, then: _Outlook) -> Iterable[StandbyChange]:
    before, after = hot_standbys(now.holdings), then.decision.targets.standbys
    symbols = {one.conid: one.symbol for one in then.universe.contracts}
    for conid in sorted({*before, *after} & symbols.keys(), key=lambda one: symbols[one]):
        if before.get(conid) != after.get(conid):
            yield StandbyChange(
                conid=conid,
                symbol=symbols[conid],
                source=_name(then.feed, before.get(conid)),
                target=_name(then.feed, after.get(conid)),
            )


def _workers(world: World, now: _Outlook, then: _Outlook) -> Iterable[WorkerPlan]:
    spec, old = then.feed.spec, {shard.worker: shard for shard in world.shards}
    before, after = Counter(owners(now.holdings).values()), Counter(then.decision.targets.owners.values())
    held, holds = Counter(hot_standbys(now.holdings).values()), Counter(then.decision.targets.standbys.values())
    for worker in sorted({*old, *range(spec.workers)}):
        wanted = worker < spec.workers
        had = old[worker].spec.account if worker in old else None
        kind = WorkerChange.ADDED if worker not in old else WorkerChange.KEPT if wanted else WorkerChange.REMOVED
        yield WorkerPlan(
            worker=shard_name(then.feed.name, worker),
            change=kind,
            account=then.accounts[worker] if wanted else had.index if had is not None else None,
            contracts_before=before[worker],
            contracts_after=after[worker],
            standbys_before=held[worker],
            standbys_after=holds[worker],
            lines=spec.accounts.lines_per_account,
        )


def _restarts(old: Feed, new: Feed, workers: Iterable[WorkerPlan]) -> Iterable[str]:
    """Workers whose pods change. All pods have one template, made of the spec alone."""
    if new.spec.suspend or old.spec.suspend or pod_template(old, "") == pod_template(new, ""):
        return ()
    return (one.worker for one in workers if one.change is WorkerChange.KEPT)


def _notes(now: _Outlook, then: _Outlook, existing: Set[int]) -> Iterable[str]:
    """Say what the plan takes for granted and cannot know. ``existing``: workers that have a shard."""
    old, new, feed = now.feed.spec, then.feed.spec, then.feed
    if new.suspend:
        yield "spec.suspend is true: all workers log out, nothing is streamed, and each contract keeps its worker."
    elif old.suspend:
        yield "The feed is resumed: its workers log in one after the other."
    waiting = [problem.root for problem in then.universe.problems if problem.kind is RootProblemKind.WAITING]
    if waiting:
        yield f"IB is asked for the contracts of {listed(waiting)} once the spec is applied: they are not in this plan."
    yield from (problem.message for problem in then.universe.problems if problem.message)
    yield from _short_answers(then)
    waits = [worker for worker, index in then.accounts.items() if index is None]
    if waits:
        yield f"No account is left for {_names(feed, waits)}: raise spec.accounts.count, or ask for fewer workers."
    if old.accounts.source != new.accounts.source:
        yield "The source of accounts changes: which of the new ones work is not known before their first login."
    coming = then.assumed & existing
    if coming and not old.suspend:
        yield f"Taken for streaming here, though it is not so yet: {_names(feed, coming)}."
    if then.decision.without_standby:
        yield f"No line is left to hold {plural(len(then.decision.without_standby), 'contract')} ready."
    lost = [worker for worker, verdict in then.verdicts.items() if verdict.health.state is Health.LOST]
    if lost and not new.suspend:
        yield f"Lost now, and so in this plan: {_names(feed, lost)}."
    yield from then.placement.invalid


def _short_answers(then: _Outlook) -> Iterable[str]:
    """Roots of which fewer months are known than the spec asks for."""
    spec = then.feed.spec
    for root in spec.roots:
        months = spec.front_months_of(root)
        known = sum(contract.root == root.symbol for contract in then.universe.contracts)
        if 0 < known < months:
            yield f"{root.label}: {known} of {months} months are known; IB is asked for the rest once it is applied."


def _names(feed: Feed, workers: Iterable[int]) -> str:
    return listed(shard_name(feed.name, worker) for worker in sorted(workers))


def _name(feed: Feed, worker: int | None) -> str | None:
    return None if worker is None else shard_name(feed.name, worker)
