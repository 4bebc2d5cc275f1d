"""From what is known to who shall stream what: puts universe, liveness and planner together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ibfeed_api.names import EntryState
from ibfeed_operator.facts import Contract, Feed, Health, Shard, Unassigned, UnassignedReason, Universe
from ibfeed_operator.handover import Holding, Targets, headed
from ibfeed_operator.liveness import Verdict
from ibfeed_operator.plan import Seat, Want, plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    targets: Targets
    unassigned: Mapping[int, UnassignedReason]


def decide(
    feed: Feed,
    universe: Universe,
    holdings: Iterable[Holding],
    verdicts: Mapping[int, Verdict],
    *,
    gathering: bool = False,
) -> Decision:
    """Give each contract of ``universe`` a worker, or a reason why it has none.

    Only streaming workers are given contracts. One that repairs its session keeps exactly what it has. While nobody
    streams, or the feed is suspended, everyone keeps what he has: there is nobody to move it to. ``gathering``: the
    feed's first workers are about to stream, and nothing is given to anybody yet.
    """
    holdings = tuple(holdings)
    accounts = feed.spec.accounts
    wanted = {holding.worker for holding in holdings if holding.worker < feed.spec.workers}
    streaming = {worker for worker in wanted if verdicts[worker].health.streaming}
    if feed.spec.suspend or gathering:
        streaming = set()
    previous = headed(holdings, among=wanted, ready=streaming)
    returning = {worker for worker in wanted if verdicts[worker].health.state is Health.RETURNING}
    fixed = returning if streaming else wanted

    contracts = {contract.conid: contract for contract in universe.contracts}
    pinned = {conid: worker for conid, worker in previous.items() if worker in fixed and conid in contracts}
    free = [contract for conid, contract in contracts.items() if conid not in pinned]
    result = plan(
        [Want(contract.conid, _rank(contract), contract.depth) for contract in free],
        [Seat(worker, accounts.lines_per_account, accounts.depth_per_account) for worker in streaming],
        previous,
    )
    unplaced = UnassignedReason.CAPACITY if streaming else UnassignedReason.NO_WORKERS
    return Decision(
        targets=Targets(
            contracts=contracts,
            owners={**result.owners, **pinned},
            ladders=result.ladders | (_books(holdings) & pinned.keys()),
            highest_epoch=feed.status.highest_epoch,
        ),
        unassigned={
            **dict.fromkeys(result.without_ladder, UnassignedReason.DEPTH_CAPACITY),
            **dict.fromkeys(result.unplaced, unplaced),
        },
    )


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


def _rank(contract: Contract) -> str:
    return contract.last_trading_day or contract.contract_month


def _books(holdings: Iterable[Holding]) -> frozenset[int]:
    return frozenset(entry.conid for holding in holdings for entry in holding.entries if entry.depth)
