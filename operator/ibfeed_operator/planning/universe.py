"""Decides which contracts a feed should stream: its universe. Pure.

IB is asked root by root (``controller/universe_resolver.py``). The contracts known so far are in the cluster: in the
entries of the IbShards and in ``IbFeed.status.contracts``. So a restarted operator asks nothing that could move a
contract. An expired contract leaves. An answer that lacks an unexpired contract is not believed.

Front months count for each product. A root with several products is refused. A product that was streamed before the
others appeared goes on.

IB is asked for one contract more than is streamed. So the successor of an expiring contract is known beforehand, both
change places in one cycle, and no worker's load changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Final

from msgspec.structs import replace

from ibfeed_api.calls import ResolvedContract, ResolvedProduct
from ibfeed_api.feed import FILTERS, FeedSpec, Root
from ibfeed_api.instrument import Instrument, Product
from ibfeed_operator.model.text import listed, plural
from ibfeed_operator.model.types import Contract, Feed, RootProblem, RootProblemKind, Shard, Universe
from ibfeed_operator.planning.balancer import slots
from ibfeed_operator.planning.symbols import named

# Globex ends its day at 16:00 in Chicago (21:00 or 22:00 UTC) and opens the next an hour later. By then the exchanges
# of Asia and Europe have ended theirs. On its last day a contract ends hours earlier (CL 14:30, ES 9:30 in New York).
_DAY_ENDS_BEFORE_MIDNIGHT: Final = timedelta(hours=2)
_NEVER: Final = "99999999"
_SHOWN: Final = 4  # products, or contracts, in a message
_TELLING: Final = (1, 2, 0, 3)  # places in Product, the most distinctive first: class, multiplier, exchange, currency


def trading_day(now: datetime) -> str:
    """Return the day (YYYYMMDD) whose contracts trade at ``now`` (timezone-aware), or will at the next opening.

    IB's last trading days are days of the exchange. The day of this function ends everywhere at once, at 22:00 UTC. By
    then no contract with that last trading day trades any more, and the next day's evening session begins.
    """
    return (now.astimezone(UTC) + _DAY_ENDS_BEFORE_MIDNIGHT).strftime("%Y%m%d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """IB's answer for a root when asked for its ``months`` nearest contracts: contracts, or ``problem``.

    ``root`` is ``Root.label``. The other fields are as in ``ResolvedRoot``.
    """

    root: str
    months: int
    contracts: tuple[ResolvedContract, ...] = ()
    products: tuple[ResolvedProduct, ...] = ()
    unusable: tuple[str, ...] = ()
    unread: int = 0
    problem: RootProblemKind | None = None
    message: str = ""


def remembered(feed: Feed, shards: Iterable[Shard]) -> dict[int, Contract]:
    """Return all contracts of this feed in the cluster, by conid. Entries of shards override the status."""
    known = {one.conid: _contract(one, root=one.root, slot=one.slot, depth=one.depth) for one in feed.status.contracts}
    for shard in shards:
        for entry in shard.spec.contracts:
            known[entry.conid] = _contract(entry, root=entry.root, slot=entry.slot, depth=entry.depth)
    return known


def merge(spec: FeedSpec, known: Mapping[int, Contract], answers: Mapping[str, Answer], *, today: str) -> Universe:
    """Return the feed's universe from the ``known`` contracts and the latest ``answers`` (by ``Root.label``).

    ``today``: the trading day. A contract is streamed on its last trading day and has expired on the next.
    """
    chosen: dict[int, Contract] = {}
    problems: list[RootProblem] = []
    resolved = True
    alive = alive_by_root(spec.roots, known, today=today)
    for root in spec.roots:
        contracts, problem = _of_root(
            root, spec.front_months_of(root), alive[root.label], answers.get(root.label), today
        )
        for contract in contracts:  # two filters may match one product, which is streamed once
            there = chosen.get(contract.conid)
            chosen[contract.conid] = _with_depth(contract, contract.depth or (there is not None and there.depth))
        if problem is not None:
            problems.append(problem)
        refused = problem is not None and problem.kind in (RootProblemKind.UNKNOWN, RootProblemKind.AMBIGUOUS)
        resolved &= bool(contracts) or refused
    # Only a contract that stays keeps its slot. A successor gets that of its predecessor, even in the same cycle.
    slot_of = slots(chosen, {conid: contract.slot for conid, contract in known.items() if conid in chosen})
    return Universe(
        contracts=tuple(
            replace(contract, slot=slot_of[contract.conid]) for contract in named(tuple(chosen.values()), known)
        ),
        problems=tuple(problems),
        resolved=resolved,
    )


def alive_by_root(roots: Iterable[Root], known: Mapping[int, Contract], *, today: str) -> dict[str, list[Contract]]:
    """Return the unexpired known contracts of each root of the spec, nearest first, by ``Root.label``.

    A contract that two roots of the spec may include belongs to the one with more filters.
    """
    roots = tuple(roots)
    by_symbol: dict[str, list[Root]] = {}
    for root in sorted(roots, key=lambda root: -sum(map(bool, root.product))):
        by_symbol.setdefault(root.symbol, []).append(root)
    by_root: dict[str, list[Contract]] = {root.label: [] for root in roots}
    for contract in known.values():
        owner = next(
            (one for one in by_symbol.get(contract.root, ()) if one.product.may_include(contract.product)), None
        )
        if owner is not None:
            by_root[owner.label].append(contract)
    return {label: _nearest(contracts, today) for label, contracts in by_root.items()}


def _of_root(
    root: Root, months: int, old: Sequence[Contract], answer: Answer | None, today: str
) -> tuple[list[Contract], RootProblem | None]:
    problem: RootProblem | None = None
    kept = _front(old, months)
    result = kept
    if answer is None:
        if not old:
            problem = RootProblem(root=root.label, kind=RootProblemKind.WAITING)
    elif answer.problem is RootProblemKind.UNKNOWN and old:
        problem = _shrank(root, kept)
    elif answer.problem is not None:
        problem = RootProblem(root=root.label, kind=answer.problem, message=answer.message)
    else:
        asked = (contract for contract in answer.contracts if root.product.includes(contract.product))
        told = (_contract(contract, root=root.symbol, slot=0, depth=False) for contract in asked)
        new = _nearest(told, today)
        # A contract from before products were told apart may be of a product that the spec does not ask for.
        lost = _lost([one for one in kept if root.product.includes(one.product)], new, answer.months)
        if lost:
            problem = _shrank(root, lost)
        elif new:
            new, problem = _of_one_product(root, old, new, answer)
            result = _front(new, months)
        elif not old:
            problem = _no_such_product(root, answer)
    books = root.depth.front_months if root.depth is not None else 0
    return [_with_depth(contract, position < books) for position, contract in enumerate(result)], problem


def _of_one_product(
    root: Root, old: Iterable[Contract], new: list[Contract], answer: Answer
) -> tuple[list[Contract], RootProblem | None]:
    """Return the contracts of an answer that are streamed: of its one product, or of the products known already."""
    products = {contract.product for contract in new}
    if len(products) == 1:
        if not answer.unusable:
            return new, None
        message = f"{'; '.join(answer.unusable[:_SHOWN])}: left out of {root.label}, whose other months are streamed"
        return new, RootProblem(root=root.label, kind=RootProblemKind.UNUSABLE, message=message)
    told = {contract.conid: contract.product for contract in new}
    staying = {told.get(contract.conid, contract.product) for contract in old}
    present = [contract for contract in new if contract.product in staying]
    return present, RootProblem(
        root=root.label, kind=RootProblemKind.AMBIGUOUS, message=_ambiguous_text(root, answer, present)
    )


def _ambiguous_text(root: Root, answer: Answer, present: Sequence[Contract]) -> str:
    candidates = [product for product in answer.products if root.product.includes(product.product)]
    until = (
        f"until then {', '.join(sorted({str(contract.product) for contract in present}))} goes on as before"
        if present
        else "until then nothing of it is streamed"
    )
    return (
        f"IB lists {len(candidates)} products of {root.label}: {_described(candidates)}."
        f" Write into spec.roots which one: {_lines(root, candidates)}; {until}"
    )


def _no_such_product(root: Root, answer: Answer) -> RootProblem:
    if answer.contracts:  # the answer has no product of theirs but the exchange
        message = (
            f"the worker that was asked for {root.label} is of a version that tells no products; it is asked again"
        )
        return RootProblem(root=root.label, kind=RootProblemKind.FAILED, message=message)
    message = (
        f"IB lists nothing of {root.label}, but {_described(answer.products)}."
        f" Correct spec.roots: {_lines(root, answer.products)}"
    )
    return RootProblem(root=root.label, kind=RootProblemKind.UNKNOWN, message=message)


def _described(products: Sequence[ResolvedProduct]) -> str:
    shown = [f"{one.product} ({plural(one.months, 'month')}, {one.example})" for one in products]
    return listed(shown, most=_SHOWN)


def _lines(root: Root, products: Sequence[ResolvedProduct]) -> str:
    """Return an item of ``spec.roots`` for each product. Values are quoted, since N and 1E5 are no strings in YAML."""
    lines = []
    for product in products[:_SHOWN]:
        asked = telling(product.product, [one.product for one in products])
        words = {"symbol": root.symbol, **{name: value for name, value in zip(FILTERS, asked, strict=True) if value}}
        lines.append("{" + ", ".join(f'{name}: "{value}"' for name, value in words.items()) + "}")
    return " or ".join(lines)


def telling(product: Product, others: Iterable[Product]) -> Product:
    """Return the fewest words of ``product`` that no other has.

    Its trading class alone, if that is enough, since its symbols have it, too.
    """
    rest = [other for other in others if other != product]
    for count in range(1, len(product) + 1):
        for places in combinations(_TELLING, count):
            asked = Product(*(word if place in places else "" for place, word in enumerate(product)))
            if all(asked[place] for place in places) and not any(asked.includes(other) for other in rest):
                return asked
    return product


def _shrank(root: Root, lost: Iterable[Contract]) -> RootProblem:
    symbols = ", ".join(contract.symbol for contract in lost)
    return RootProblem(
        root=root.label,
        kind=RootProblemKind.SHRANK,
        message=f"IB's latest answer for {root.label} lacks {symbols}, which have not expired;"
        " the last good contracts are kept and IB is asked again.",
    )


def _lost(old: Sequence[Contract], new: Sequence[Contract], months: int) -> list[Contract]:
    """Return the unexpired contracts that the answer should have had.

    A contract that is only later than the last one of a full answer is not among them.
    """
    present = {contract.conid for contract in new}
    days: dict[Product, list[str]] = {}
    for contract in new:
        days.setdefault(contract.product, []).append(contract.last_trading_day)
    horizons = {product: mine[-1] if len(mine) >= months else _NEVER for product, mine in days.items()}
    other = min(horizons.values(), default=_NEVER)
    return [
        contract
        for contract in old
        if contract.conid not in present and contract.last_trading_day <= horizons.get(contract.product, other)
    ]


def _front(contracts: Iterable[Contract], months: int) -> list[Contract]:
    """Return the nearest ``months`` of each product. ``contracts`` are sorted."""
    count = Counter[Product]()
    result = []
    for contract in contracts:
        count[contract.product] += 1
        if count[contract.product] <= months:
            result.append(contract)
    return result


def _nearest(contracts: Iterable[Contract], today: str) -> list[Contract]:
    alive = (contract for contract in contracts if contract.last_trading_day >= today)
    return sorted(alive, key=lambda contract: (contract.last_trading_day, contract.contract_month, contract.conid))


def _contract(found: Instrument, *, root: str, slot: int, depth: bool) -> Contract:
    return Contract(
        conid=found.conid,
        root=root,
        symbol=found.symbol,
        exchange=found.exchange,
        trading_class=found.trading_class,
        multiplier=found.multiplier,
        currency=found.currency,
        contract_month=found.contract_month,
        last_trading_day=found.last_trading_day,
        slot=slot,
        depth=depth,
    )


def _with_depth(contract: Contract, depth: bool) -> Contract:
    return contract if contract.depth == depth else replace(contract, depth=depth)
