"""Checks condition ``Covered``: every contract has exactly one publishing worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ibfeed_api.kinds import shard_name
from ibfeed_api.reasons import Condition, Reason
from ibfeed_api.shard import ContractState
from ibfeed_operator.model.text import listed, plural
from ibfeed_operator.model.types import Contract, StatusInput, UnassignedReason
from ibfeed_operator.status.checks.common import streaming_count, symbols
from ibfeed_operator.status.conditions import FALSE, TRUE, UNKNOWN, CheckResult
from ibfeed_operator.status.coverage import Coverage, why_not

# The gravest state first, since it gives the condition its reason.
_STATE_REASONS: Final = (
    (ContractState.REFUSED, Reason.SUBSCRIPTION_REFUSED),
    (ContractState.SILENT, Reason.CONTRACT_SILENT),
)

_REFUSED_ADVICE: Final = (
    "; another account is tried if one has a line to spare; check the account's market data subscriptions, and that no"
    " other platform of its user takes the lines"
)

NO_LINE_TEXTS: Final = {
    UnassignedReason.NO_ACCOUNT: "no line is left, and for another worker no account: see condition AccountsAvailable",
    UnassignedReason.WORKER_MISSING: "no line is left at the workers that stream: see condition Ready for the others",
    UnassignedReason.DRAINED: "no line is left but at a drained worker",
    UnassignedReason.KAFKA: "no line is left but at workers that cannot publish: see condition KafkaReachable",
}


def check_coverage(status_input: StatusInput, coverage: Coverage) -> CheckResult:
    """Check that each contract is published by exactly one worker."""
    contracts = status_input.universe.contracts

    def result(reason: Reason, message: str) -> CheckResult:
        return CheckResult(Condition.COVERED, FALSE, reason, message)

    if status_input.feed.spec.suspend:
        return result(Reason.SUSPENDED, "nothing is streamed while spec.suspend is true")
    if not contracts:
        if not status_input.universe.resolved:
            return CheckResult(Condition.COVERED, UNKNOWN, Reason.WAITING_FOR_WORKER, "no contract is known yet")
        return result(Reason.NOT_PUBLISHING, "there is no contract to stream: IB knows none of the roots")
    twice = [contract for contract in contracts if len(coverage.publishers.get(contract.conid, ())) > 1]
    if twice:
        return result(Reason.PUBLISHED_TWICE, f"published by two workers: {symbols(twice)}")
    idle = [contract for contract in contracts if contract.conid not in coverage.owners]
    if idle:
        return result(Reason.UNASSIGNED, _unassigned_text(status_input, idle))
    waiting = [contract for contract in contracts if not coverage.covers(contract.conid)]
    if waiting:
        reason, why = _why_waiting(status_input, coverage, waiting)
        return result(reason, f"{len(waiting)} of {plural(len(contracts), 'contract')} not publishing: {why}")
    return CheckResult(
        Condition.COVERED,
        TRUE,
        Reason.ALL_PUBLISHING,
        f"each of {plural(len(contracts), 'contract')} is published by exactly one worker"
        + (f"; {len(coverage.between)} of them being handed over" if coverage.between else ""),
    )


def _why_waiting(status_input: StatusInput, coverage: Coverage, waiting: Sequence[Contract]) -> tuple[Reason, str]:
    """Return why contracts are not published, as their workers report it. Each cause is named once."""
    reports = why_not(status_input.workers)
    causes: dict[tuple[str, str], list[Contract]] = {}
    for contract in waiting:
        at = shard_name(status_input.feed.name, coverage.owners[contract.conid])
        why = reports[contract.conid].message if contract.conid in reports else ""
        causes.setdefault((at, why), []).append(contract)
    texts = [f"{symbols(those)} at {at}" + (f": {why}" if why else "") for (at, why), those in causes.items()]
    states = {reports[contract.conid].state for contract in waiting if contract.conid in reports}
    reason = next((reason for state, reason in _STATE_REASONS if state in states), Reason.NOT_PUBLISHING)
    advice = _REFUSED_ADVICE if reason is Reason.SUBSCRIPTION_REFUSED else ""
    return reason, listed(texts, most=4) + advice


def _unassigned_text(status_input: StatusInput, idle: Sequence[Contract]) -> str:
    reasons = {item.reason for item in status_input.unassigned}
    text = (
        f"{len(idle)} of {plural(len(status_input.universe.contracts), 'contract')} without a worker: {symbols(idle)}"
    )
    if UnassignedReason.CAPACITY in reasons:
        return f"{text}; {capacity_advice(status_input)}"
    for reason, why in NO_LINE_TEXTS.items():
        if reason in reasons:
            return f"{text}; {why}"
    if not streaming_count(status_input):
        return f"{text}; no worker is streaming"
    return text


def capacity_advice(status_input: StatusInput) -> str:
    """Return the advice for a feed with more contracts than market data lines."""
    accounts = status_input.feed.spec.accounts
    return (
        f"each worker's account has {plural(accounts.lines_per_account, 'market data line')}:"
        " add workers and accounts, or stream fewer months"
    )
