"""Checks condition ``PlacementHonored``: workers are drained and contracts pinned as the annotations ask."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ibfeed_api.kinds import shard_name
from ibfeed_api.reasons import Condition, Reason
from ibfeed_operator.model.text import listed, plural
from ibfeed_operator.model.types import Contract, PinProblem, StatusInput
from ibfeed_operator.status.checks.common import symbols
from ibfeed_operator.status.conditions import FALSE, TRUE, UNKNOWN, CheckResult, Truth
from ibfeed_operator.status.coverage import Coverage

_PIN_TEXTS: Final = {
    PinProblem.DRAINED: "which is drained",
    PinProblem.NOT_STREAMING: "which does not stream",
    PinProblem.SETTLING: "which was lost again and again of late",
    PinProblem.CANNOT_PUBLISH: "which has not shown that it can publish",
    PinProblem.NO_ROOM: "whose lines do not suffice for it",
    PinProblem.REFUSED: "whose account IB refuses it",
}


def check_placement(status_input: StatusInput, coverage: Coverage) -> CheckResult:
    """Check that drained workers have no contracts, and that pinned contracts are at their workers."""
    asked = status_input.placement

    def result(truth: Truth, reason: Reason, message: str) -> CheckResult:
        return CheckResult(Condition.PLACEMENT_HONORED, truth, reason, message)

    if not (asked.pins or asked.drained or asked.invalid):
        return result(TRUE, Reason.NOTHING_ASKED, "no worker is drained and no contract pinned by annotation")
    if status_input.feed.spec.suspend:
        return result(UNKNOWN, Reason.SUSPENDED, "nothing is moved while spec.suspend is true")
    stranded, unmet = _stranded_texts(status_input, coverage), _unmet_texts(status_input)
    if stranded or unmet or asked.invalid:
        reason = Reason.DRAIN_INCOMPLETE if stranded else Reason.PIN_UNMET if unmet else Reason.INVALID_ANNOTATION
        return result(FALSE, reason, "; ".join([*stranded, *unmet, *asked.invalid]))
    drained = [worker.shard for worker in status_input.workers if worker.shard and worker.index in asked.drained]
    waiting = {entry.conid for shard in drained for entry in shard.spec.contracts}
    waiting |= {conid for conid, worker in asked.pins.items() if coverage.owners.get(conid) != worker}
    if waiting:
        where = "where it is asked for" if len(waiting) == 1 else "where they are asked for"
        return result(FALSE, Reason.MOVING, f"{plural(len(waiting), 'contract')} on the way to {where}")
    texts = [f"drained: {listed(_names(status_input, asked.drained))}"] if asked.drained else []
    texts += [f"pinned: {listed(_pinned(status_input))}"] if asked.pins else []
    return result(TRUE, Reason.HONORED, "; ".join(texts))


def _stranded_texts(status_input: StatusInput, coverage: Coverage) -> list[str]:
    stranded = [contract for contract in status_input.universe.contracts if contract.conid in status_input.stranded]
    if not stranded:
        return []
    at = {coverage.owners[contract.conid] for contract in stranded if contract.conid in coverage.owners}
    what = f"{plural(len(stranded), 'contract')}: {symbols(stranded)}"
    return [
        f"{listed(_names(status_input, at))} should be drained, but no other worker has a line for {what}; add workers"
    ]


def _unmet_texts(status_input: StatusInput) -> list[str]:
    at: dict[tuple[int, PinProblem], list[Contract]] = {}
    for contract in status_input.universe.contracts:
        if (problem := status_input.unmet.get(contract.conid)) is not None:
            at.setdefault((status_input.placement.pins[contract.conid], problem), []).append(contract)
    return [
        f"{symbols(contracts)} pinned to {shard_name(status_input.feed.name, worker)}, {_PIN_TEXTS[problem]}"
        for (worker, problem), contracts in sorted(at.items())
    ]


def _names(status_input: StatusInput, workers: Iterable[int]) -> list[str]:
    return [shard_name(status_input.feed.name, worker) for worker in sorted(workers)]


def _pinned(status_input: StatusInput) -> list[str]:
    pins = status_input.placement.pins
    contracts = (contract for contract in status_input.universe.contracts if contract.conid in pins)
    return [f"{item.symbol} to {shard_name(status_input.feed.name, pins[item.conid])}" for item in contracts]
