"""The universe: which contracts a feed should stream. Pure.

IB is asked root by root (``resolver.py``). What is known already is in the cluster: the entries of the IbShards and
``IbFeed.status.contracts``; so a restarted operator asks nothing that could move a contract. A contract that has
expired leaves; an answer that forgets one which has not is not believed.

IB is asked for one contract more than is streamed, so the successor of one that expires is known beforehand: both
change places in one cycle, and nobody's load changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from ibfeed_api.calls import ResolvedContract
from ibfeed_api.feed import FeedSpec, Root
from ibfeed_operator.facts import Contract, Feed, RootProblem, RootTrouble, Shard, Universe
from ibfeed_operator.plan import slots

# Globex ends its day at 16:00 in Chicago, 21:00 or 22:00 UTC, and opens the next an hour later; by then Asia's and
# Europe's exchanges have ended theirs. On its last day a contract ends hours earlier (CL 14:30, ES 9:30 in New York).
_DAY_ENDS_BEFORE_MIDNIGHT: Final = timedelta(hours=2)


def trading_day(now: datetime) -> str:
    """The day (YYYYMMDD) whose contracts trade at ``now`` (timezone-aware), or will when the exchanges open again.

    IB's last trading days are days of the exchange. This one ends everywhere at once, at 22:00 UTC, when no contract of
    that last day trades any more and the next day's evening session begins.
    """
    return (now.astimezone(UTC) + _DAY_ENDS_BEFORE_MIDNIGHT).strftime("%Y%m%d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What IB said of a root when asked for its ``months`` nearest contracts: contracts, or ``trouble``."""

    root: str
    months: int
    contracts: tuple[ResolvedContract, ...] = ()
    trouble: RootTrouble | None = None
    message: str = ""


def remembered(feed: Feed, shards: Iterable[Shard]) -> dict[int, Contract]:
    """All contracts that the cluster knows of this feed, by conid. Entries of shards count before the status."""
    known = {
        contract.conid: Contract(
            conid=contract.conid,
            root=contract.root,
            symbol=contract.symbol,
            exchange=contract.exchange,
            contract_month=contract.contract_month,
            last_trading_day=contract.last_trading_day,
            slot=contract.slot,
            depth=contract.depth,
        )
        for contract in feed.status.contracts
    }
    for shard in shards:
        for entry in shard.spec.contracts:
            known[entry.conid] = Contract(
                conid=entry.conid,
                root=entry.root,
                symbol=entry.symbol,
                exchange=entry.exchange,
                contract_month=entry.contract_month,
                last_trading_day=entry.last_trading_day,
                slot=entry.slot,
                depth=entry.depth,
            )
    return known


def merge(spec: FeedSpec, known: Mapping[int, Contract], answers: Mapping[str, Answer], *, today: str) -> Universe:
    """Return the feed's universe from what is ``known`` and the latest ``answers`` (by root).

    ``today``: the trading day. A contract is streamed on its last trading day and has expired on the next.
    """
    chosen: list[Contract] = []
    problems: list[RootProblem] = []
    resolved = True
    alive = alive_by_root(known, today=today)
    for root in spec.roots:
        months = spec.front_months_of(root)
        old = alive.get(root.symbol, [])
        answer = answers.get(root.symbol)
        contracts, problem = _of_root(root, months, old, answer, today)
        chosen.extend(contracts)
        if problem is not None:
            problems.append(problem)
        resolved &= bool(contracts) or (problem is not None and problem.trouble is RootTrouble.UNKNOWN)
    unique = {contract.conid: contract for contract in chosen}
    # Only who stays keeps a slot: a successor gets that of the one whose place it takes, even in the same cycle.
    slot_of = slots(unique, {conid: contract.slot for conid, contract in known.items() if conid in unique})
    return Universe(
        contracts=tuple(replace(contract, slot=slot_of[conid]) for conid, contract in unique.items()),
        problems=tuple(problems),
        resolved=resolved,
    )


def alive_by_root(known: Mapping[int, Contract], *, today: str) -> dict[str, list[Contract]]:
    """The contracts of each root that have not expired, nearest first."""
    by_root: dict[str, list[Contract]] = {}
    for contract in known.values():
        by_root.setdefault(contract.root, []).append(contract)
    return {root: _nearest(contracts, today) for root, contracts in by_root.items()}


def _of_root(
    root: Root, months: int, old: Sequence[Contract], answer: Answer | None, today: str
) -> tuple[list[Contract], RootProblem | None]:
    problem: RootProblem | None = None
    result = list(old[:months])
    if answer is None:
        if not old:
            problem = RootProblem(root=root.symbol, trouble=RootTrouble.WAITING)
    elif answer.trouble is RootTrouble.UNKNOWN and old:
        problem = _shrank(root, old[:months])
    elif answer.trouble is not None:
        problem = RootProblem(root=root.symbol, trouble=answer.trouble, message=answer.message)
    else:
        new = _nearest((_contract(root, contract) for contract in answer.contracts), today)
        lost = _lost(old[:months], new, answer.months)
        if lost:
            problem = _shrank(root, lost)
        elif new:
            result = new[:months]
    books = root.depth.front_months if root.depth is not None else 0
    return [_with_depth(contract, position < books) for position, contract in enumerate(result)], problem


def _shrank(root: Root, lost: Iterable[Contract]) -> RootProblem:
    symbols = ", ".join(contract.symbol for contract in lost)
    return RootProblem(
        root=root.symbol,
        trouble=RootTrouble.SHRANK,
        message=f"IB's latest answer for {root.symbol} lacks {symbols}, which have not expired;"
        " the last good contracts are kept and IB is asked again.",
    )


def _lost(old: Sequence[Contract], new: Sequence[Contract], months: int) -> list[Contract]:
    """Contracts that the answer should have had: unexpired, and not merely later than a full answer's last."""
    present = {contract.conid for contract in new}
    horizon = new[-1].last_trading_day if len(new) >= months else "99999999"
    return [contract for contract in old if contract.conid not in present and contract.last_trading_day <= horizon]


def _nearest(contracts: Iterable[Contract], today: str) -> list[Contract]:
    alive = (contract for contract in contracts if contract.last_trading_day >= today)
    return sorted(alive, key=lambda contract: (contract.last_trading_day, contract.contract_month, contract.conid))


def _contract(root: Root, contract: ResolvedContract) -> Contract:
    return Contract(
        conid=contract.conid,
        root=root.symbol,
        symbol=contract.symbol,
        exchange=contract.exchange,
        contract_month=contract.contract_month,
        last_trading_day=contract.last_trading_day,
        slot=0,
    )


def _with_depth(contract: Contract, depth: bool) -> Contract:
    return contract if contract.depth == depth else replace(contract, depth=depth)
