"""Checks condition ``StandbysReady``: a second worker holds each contract ready, if ``spec.standby`` asks for it."""

from __future__ import annotations

from collections.abc import Collection

from ibfeed_api.feed import Standby
from ibfeed_api.kinds import shard_name
from ibfeed_api.reasons import Condition, Reason
from ibfeed_api.shard import ContractState
from ibfeed_operator.model.text import listed, plural
from ibfeed_operator.model.types import StatusInput
from ibfeed_operator.status.checks.common import streaming_count, symbols
from ibfeed_operator.status.conditions import FALSE, TRUE, UNKNOWN, CheckResult, Truth
from ibfeed_operator.status.coverage import Coverage, reports_of_standbys


def check_standbys(status_input: StatusInput, coverage: Coverage) -> CheckResult:
    """Check that a worker would go on at once with each contract whose own worker dies."""
    spec = status_input.feed.spec

    def result(truth: Truth, reason: Reason, message: str) -> CheckResult:
        return CheckResult(Condition.STANDBYS_READY, truth, reason, message)

    if spec.standby is Standby.NONE:
        return result(TRUE, Reason.NOTHING_ASKED, "spec.standby is None: no contract has a standby")
    if spec.suspend:
        return result(UNKNOWN, Reason.SUSPENDED, "nothing is streamed while spec.suspend is true")
    contracts = status_input.universe.contracts
    if not contracts:
        return result(UNKNOWN, Reason.WAITING_FOR_WORKER, "no contract is known yet")
    cold = [contract for contract in contracts if contract.conid not in coverage.warm]
    if not cold:
        return result(TRUE, Reason.ALL_WARM, f"{plural(len(contracts), 'contract')} would go on at another worker")
    without = [contract for contract in contracts if contract.conid in status_input.without_standby]
    if without:
        text = f"{len(without)} of {plural(len(contracts), 'contract')} without a standby: {symbols(without)}"
        return result(FALSE, Reason.CAPACITY, f"{text}; {_advice(status_input)}")
    text = f"{len(cold)} of {plural(len(contracts), 'standby')} not ready: {symbols(cold)}"
    why = _why(status_input, {contract.conid for contract in cold})
    return result(FALSE, Reason.WARMING, f"{text}; {why}" if why else text)


def _advice(status_input: StatusInput) -> str:
    accounts = status_input.feed.spec.accounts
    if streaming_count(status_input) <= 1:
        return "a standby is at another worker, and no two stream: see spec.workers and condition Ready"
    lines = plural(accounts.lines_per_account, "market data line")
    return (
        f"a contract takes one line and its standby another, and each worker's account has {lines}: add workers and"
        " accounts, or stream fewer months"
    )


def _why(status_input: StatusInput, cold: Collection[int]) -> str:
    """Say why standbys are not ready, as their workers report it."""
    texts = [
        f"{entry.symbol} at {shard_name(status_input.feed.name, worker)}: {report.message}"
        for worker, entry, report in reports_of_standbys(status_input.workers)
        if entry.conid in cold and report.state is not ContractState.WARM and report.message
    ]
    return listed(texts, most=4) if texts else ""
