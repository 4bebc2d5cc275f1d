"""The assignment: each contract gets a worker, or a reason why it has none. Pure.

Only streaming workers are given contracts, and only if Kafka acknowledges their records. A worker keeps exactly what it
has while it repairs its session, while no worker could publish its records, and when it was lost too often of late and
the others have lines enough. While no worker streams, or none can publish, or the feed is suspended, each keeps what it
has: there is nowhere to move it to.

A drained worker is given nothing, and keeps contracts for which no other worker has a line. So does a worker that alone
cannot publish. A pin holds while its worker streams and is not drained. A relieved worker is drained until its
scheduled login is over, and then has its contracts back, however loads are evened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ibfeed_api.feed import Rebalance, Standby
from ibfeed_api.shard import EntryState
from ibfeed_operator.liveness.tracker import Verdict
from ibfeed_operator.model.types import (
    Contract,
    Feed,
    PinProblem,
    Placement,
    Shard,
    Unassigned,
    UnassignedReason,
    Universe,
)
from ibfeed_operator.planning.balancer import Capacity, Demand, Plan, plan
from ibfeed_operator.planning.handover import Targets
from ibfeed_operator.planning.handover_state import Holding, current_assignment, hot_standbys
from ibfeed_operator.planning.handover_state import owners as held_by
from ibfeed_operator.planning.standbys import StandbyCapacity, StandbyDemand, StandbyPlan, plan_standbys
from ibfeed_operator.planning.worker_sets import WorkerSets, worker_sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``unmet``: pinned conids that are placed like any other, and why. ``stranded``: conids left at a drained worker.

    ``homes``: by worker the conids that are lent to others while it logs in anew, where that differs from what its
    shard says. ``evened``: loads are as even as can be over all the workers of the spec, but those that are drained.
    ``without_standby``: conids that shall have a hot standby, and for which no line is left.
    """

    targets: Targets
    unassigned: Mapping[int, UnassignedReason]
    unmet: Mapping[int, PinProblem] = field(default_factory=dict)
    stranded: frozenset[int] = frozenset()
    homes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    evened: bool = False
    without_standby: tuple[int, ...] = ()


def decide(
    feed: Feed,
    universe: Universe,
    holdings: Iterable[Holding],
    verdicts: Mapping[int, Verdict],
    *,
    placement: Placement | None = None,
    accountless: Collection[int] = (),
    gathering: bool = False,
    refused: Mapping[int, frozenset[int]] | None = None,
    full: Collection[int] = (),
    nodes: Mapping[int, str] | None = None,
    epoch_floor: int = 0,
) -> Decision:
    """See the module's text.

    Args:
        accountless: workers for which there is no account.
        gathering: the feed's first workers are about to stream, and nothing is given yet.
        refused: conid to the workers whose accounts IB refuses it. It goes to another one with a line to spare, and
            stays there.
        full: workers that are given no more than they have, while the others have lines enough.
        nodes: by worker, where it runs.
        epoch_floor: no new epoch is below it (``records.epoch_at``).
    """
    placement, refused = placement or Placement(), refused or {}
    holdings, accounts = tuple(holdings), feed.spec.accounts
    contracts = {contract.conid: contract for contract in universe.contracts}
    sets = worker_sets(feed, holdings, verdicts, placement, gathering=gathering, wanted_lines=len(contracts))
    previous = current_assignment(holdings, among=sets.wanted, ready=sets.trusted)
    previous |= _heirs(held_ready := hot_standbys(holdings), previous, sets)
    kept = {conid: worker for conid, worker in previous.items() if worker in sets.fixed and conid in contracts}
    free = [contract for conid, contract in contracts.items() if conid not in kept]
    ready = sets.trusted - sets.drained
    lines = _lines(accounts.lines_per_account, holdings, ready, full, wanted=len(contracts))
    pins = _pins(placement, refused, holdings, previous, {worker: lines[worker] for worker in ready})
    even = _even(feed)
    result = plan(
        [Demand(contract.conid, _rank(contract), contract.depth, pins.get(contract.conid)) for contract in free],
        [
            Capacity(worker, lines[worker], accounts.depth_per_account, worker in sets.drained)
            for worker in sets.trusted
        ],
        previous,
        even=even,
    )
    owners = {**result.owners, **kept}
    standbys = _standbys(feed, contracts, owners, held_ready, sets, lines, refused=refused, nodes=nodes or {})
    return Decision(
        targets=_targets(feed, contracts, owners, standbys, _ladders(result, holdings, kept), epoch_floor),
        unassigned={
            **dict.fromkeys(result.without_ladder, UnassignedReason.DEPTH_CAPACITY),
            **_why(result.unplaced, feed, owners, accountless, sets, placement),
        },
        unmet=_unmet(placement, result, kept, sets, refused),
        stranded=frozenset(conid for conid, worker in result.owners.items() if worker in placement.drained),
        homes=_homes(holdings, owners, relieved=sets.relieved, ready=ready, drained=placement.drained, known=contracts),
        evened=even and ready >= {*range(feed.spec.workers)} - placement.drained and bool(ready),
        without_standby=standbys.without,
    )


def _lines(
    most: int, holdings: Sequence[Holding], ready: Collection[int], full: Collection[int], *, wanted: int
) -> Mapping[int, int]:
    """By worker, how many contracts it may have."""
    active = {
        holding.worker: sum(entry.state is not EntryState.STANDBY for entry in holding.entries) for holding in holdings
    }
    limits = {worker: min(most, count) if worker in full else most for worker, count in active.items()}
    enough = sum(limits[worker] for worker in ready) >= wanted
    return limits if enough else dict.fromkeys(active, most)


def _heirs(held_ready: Mapping[int, int], previous: Mapping[int, int], sets: WorkerSets) -> Mapping[int, int]:
    """The contracts of workers that are lost count as where they are held ready, and so stay there."""
    able, living = sets.trusted - sets.drained, sets.trusted | sets.fixed
    return {conid: heir for conid, heir in held_ready.items() if heir in able and previous.get(conid) not in living}


def _standbys(
    feed: Feed,
    contracts: Mapping[int, Contract],
    owners: Mapping[int, int],
    held_ready: Mapping[int, int],
    sets: WorkerSets,
    lines: Mapping[int, int],
    *,
    refused: Mapping[int, frozenset[int]],
    nodes: Mapping[int, str],
) -> StandbyPlan:
    """Have each contract that has an owner held ready at another worker, with the lines that are left."""
    if feed.spec.standby is not Standby.HOT:
        return StandbyPlan()
    ranked = sorted(owners, key=lambda conid: (_rank(contracts[conid]), conid))
    load = Counter(owners.values())
    seats = (
        StandbyCapacity(worker, lines[worker] - load[worker], worker not in sets.trusted, nodes.get(worker, ""))
        for worker in sorted((sets.trusted | sets.fixed) - sets.drained)
    )
    covered = [StandbyDemand(conid, owners[conid], refused.get(conid, frozenset())) for conid in ranked]
    return plan_standbys(covered, seats, held_ready, nodes=nodes)


def _targets(
    feed: Feed,
    contracts: Mapping[int, Contract],
    owners: Mapping[int, int],
    standbys: StandbyPlan,
    ladders: frozenset[int],
    floor: int,
) -> Targets:
    return Targets(
        contracts=contracts,
        owners=owners,
        standbys=standbys.standbys,
        ladders=ladders,
        floor=floor,
        epochs={contract.conid: contract.epoch for contract in feed.status.contracts if contract.epoch},
        highest_epoch=feed.status.highest_epoch,
        fresh=_fresh(feed, contracts),
    )


def _pins(
    placement: Placement,
    refused: Mapping[int, frozenset[int]],
    holdings: Sequence[Holding],
    previous: Mapping[int, int],
    lines: Mapping[int, int],
) -> dict[int, int]:
    """By conid the worker that shall have a contract whatever the loads.

    Contracts that are lent go back, unless people have pinned them elsewhere; what IB refuses goes to another account.
    ``lines``: of the workers that may be given contracts.
    """
    back = {conid: holding.worker for holding in holdings for conid in holding.home}
    asked = {conid: worker for conid, worker in {**back, **placement.pins}.items() if worker in lines}
    pins = {conid: worker for conid, worker in asked.items() if worker not in refused.get(conid, ())}
    return {**_accepted(refused, holdings, previous, lines), **pins}


def _accepted(
    refused: Mapping[int, frozenset[int]],
    holdings: Sequence[Holding],
    headed_to: Mapping[int, int],
    lines: Mapping[int, int],
) -> dict[int, int]:
    """For contracts that IB refuses to some accounts, a worker that it may be sent to; none where each has refused.

    ``headed_to``: where each contract is, or is on its way to. ``lines``: of the workers that may be given contracts.
    """
    present = held_by(holdings)
    load = Counter(headed_to.values())
    chosen: dict[int, int] = {}
    for conid, workers in sorted(refused.items()):
        able = [worker for worker in lines if worker not in workers]
        for worker in (present.get(conid), headed_to.get(conid)):
            if worker in able:
                chosen[conid] = worker
                break
        else:
            free = [worker for worker in able if load[worker] < lines[worker]]
            if free:
                chosen[conid] = min(free, key=lambda worker: (load[worker], worker))
                load[chosen[conid]] += 1
    return chosen


def _homes(
    holdings: Sequence[Holding],
    owners: Mapping[int, int],
    *,
    relieved: Collection[int],
    ready: Collection[int],
    drained: Collection[int],
    known: Collection[int],
) -> dict[int, tuple[int, ...]]:
    """The loans that change: all contracts of a relieved worker are lent until they are back, or go elsewhere.

    It is written before the first of it leaves, and in the cluster: the night's logins must not shift contracts for
    good under a policy that evens no loads, whatever becomes of this operator meanwhile.
    """
    lent = {conid for holding in holdings for conid in holding.home}
    entries = Counter(entry.conid for holding in holdings for entry in holding.entries if not entry.hot)
    homes = {}
    for holding in holdings:
        active = {entry.conid for entry in holding.entries if entry.state is EntryState.ACTIVE}
        home = set(holding.home) & set(known)
        if holding.worker in relieved:
            home |= (active - lent) & set(known)
        elif holding.worker in ready:
            back = {conid for conid in active if entries[conid] == 1}
            home = {conid for conid in home - back if owners.get(conid) == holding.worker}
        elif holding.worker in drained:
            home = set()
        if home != set(holding.home):
            homes[holding.worker] = tuple(sorted(home))
    return homes


def _why(
    unplaced: Sequence[int],
    feed: Feed,
    owners: Mapping[int, int],
    accountless: Collection[int],
    sets: WorkerSets,
    placement: Placement,
) -> dict[int, UnassignedReason]:
    """Why contracts (nearest first) have no worker: each free line that cannot be used explains one of them."""
    if not sets.streaming:
        return dict.fromkeys(unplaced, UnassignedReason.NO_WORKERS)
    load = Counter(owners.values())
    reasons: list[UnassignedReason] = []
    for worker in range(feed.spec.workers):
        free = feed.spec.accounts.lines_per_account - load[worker]
        if worker in accountless:
            reasons += [UnassignedReason.NO_ACCOUNT] * free
        elif worker not in sets.streaming:
            reasons += [UnassignedReason.WORKER_MISSING] * free
        elif worker in sets.unable:
            reasons += [UnassignedReason.KAFKA] * free
        elif worker in placement.drained | sets.relieved:
            reasons += [UnassignedReason.DRAINED] * free
    reasons.sort(key=list(UnassignedReason).index)
    reasons += [UnassignedReason.CAPACITY] * len(unplaced)
    return dict(zip(unplaced, reasons, strict=False))


def unassigned(decision: Decision, shards: Iterable[Shard]) -> tuple[Unassigned, ...]:
    """Contracts that nobody has, after the hand-over has come as far as it can for now; nearest months first."""
    active = {entry.conid for shard in shards for entry in shard.spec.contracts if entry.state is EntryState.ACTIVE}
    targets = decision.targets
    moving = (conid for conid in targets.owners if conid not in active)
    reasons = {**decision.unassigned, **dict.fromkeys(moving, UnassignedReason.MOVING)}
    found = (targets.contracts[conid] for conid in reasons)
    return tuple(
        Unassigned(conid=contract.conid, symbol=contract.symbol, reason=reasons[contract.conid])
        for contract in sorted(found, key=lambda contract: (_rank(contract), contract.conid))
    )


def balanced(decision: Decision, shards: Iterable[Shard]) -> bool:
    """Whether the loads that ``decision`` has evened are so in ``shards``, too, with nothing on its way."""
    entries = [(entry, shard.worker) for shard in shards for entry in shard.spec.contracts if not entry.hot]
    active = {entry.conid: worker for entry, worker in entries if entry.state is EntryState.ACTIVE}
    return decision.evened and len(entries) == len(active) and active == decision.targets.owners


def _even(feed: Feed) -> bool:
    """Whether loads are to be evened. OnScale goes by what is in the cluster: a restart must not even them again."""
    if feed.spec.rebalance is Rebalance.ON_SCALE:
        return feed.status.balanced_workers != feed.spec.workers
    return feed.spec.rebalance is Rebalance.ALWAYS


def _unmet(
    placement: Placement,
    result: Plan,
    kept: Mapping[int, int],
    sets: WorkerSets,
    refused: Mapping[int, frozenset[int]],
) -> dict[int, PinProblem]:
    """The pins that do not hold. Of a contract that waits for its own worker's return nothing is said yet."""
    streaming = sets.streaming - sets.relieved
    troubles: dict[int, PinProblem] = {}
    for conid, worker in placement.pins.items():
        if conid in kept:
            continue
        if worker in placement.drained:
            troubles[conid] = PinProblem.DRAINED
        elif worker in sets.settling:
            troubles[conid] = PinProblem.SETTLING
        elif worker not in streaming:
            troubles[conid] = PinProblem.NOT_STREAMING
        elif worker in sets.unable:
            troubles[conid] = PinProblem.CANNOT_PUBLISH
        elif worker in refused.get(conid, ()):
            troubles[conid] = PinProblem.REFUSED
        elif result.owners.get(conid) != worker:
            troubles[conid] = PinProblem.NO_ROOM
    return troubles


def _rank(contract: Contract) -> str:
    return contract.last_trading_day or contract.contract_month


def _fresh(feed: Feed, contracts: Iterable[int]) -> frozenset[int]:
    """Which contracts nobody ever had; of a status that does not list all of them it cannot be told."""
    listed = feed.status.contracts
    if len(listed) < feed.status.contract_count:
        return frozenset()
    return frozenset(contracts) - {contract.conid for contract in listed if contract.epoch}


def _ladders(result: Plan, holdings: Iterable[Holding], kept: Mapping[int, int]) -> frozenset[int]:
    """The contracts that get their order books: planned ones, and those that stay with their workers."""
    present = (entry.conid for holding in holdings for entry in holding.entries if entry.depth)
    return result.ladders | {conid for conid in present if conid in kept}
