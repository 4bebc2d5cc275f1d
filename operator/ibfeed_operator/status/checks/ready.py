"""Checks condition ``Ready``: everything is there that the spec asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ibfeed_api.kinds import shard_name
from ibfeed_api.reasons import Condition, Reason
from ibfeed_api.shard import ContractState
from ibfeed_operator.model.text import listed, plural
from ibfeed_operator.model.types import StatusInput, UnassignedReason
from ibfeed_operator.status.checks.common import problems_of, streaming_count, wanted
from ibfeed_operator.status.conditions import FALSE, TRUE, UNKNOWN, CheckResult
from ibfeed_operator.status.coverage import Coverage, why_not
from ibfeed_operator.status.worker_problems import grouped

# Reasons that IB itself gives during its resets and its maintenance.
_OF_IB: Final = frozenset(
    {
        Reason.CONTRACT_SILENT,
        Reason.DAILY_RESET,
        Reason.FEED_SILENT,
        Reason.LOGIN_FAILED,
        Reason.LOGIN_PAGE_TROUBLE,
        Reason.LOGIN_TIMEOUT,
        Reason.NONSENSE_ANSWER,
        Reason.SESSION_DENIED,
        Reason.SESSION_LOST,
        Reason.UPSTREAM_UNREACHABLE,
    }
)


def check_ready(status_input: StatusInput, coverage: Coverage, parts: dict[Condition, CheckResult]) -> CheckResult:
    """Check that everything is there that the spec asks for. The message is a column of ``kubectl get``.

    ``parts``: the results of the other conditions. The first question with an answer decides.
    """
    questions: tuple[Callable[[], tuple[Reason, str] | None], ...] = (
        lambda: (Reason.RECONCILE_FAILED, status_input.trouble) if status_input.trouble else None,
        lambda: (Reason.SUSPENDED, "suspended") if status_input.feed.spec.suspend else None,
        lambda: _no_worker(status_input),
        lambda: _failure(parts[Condition.KAFKA_REACHABLE]),
        lambda: _failure(parts[Condition.UNIVERSE_RESOLVED]),
        lambda: _with_cause(status_input, _short_of_coverage(status_input, coverage, parts[Condition.COVERED])),
        lambda: _unknown_root(parts[Condition.UNIVERSE_RESOLVED]),
        lambda: _missing_workers(status_input),
        lambda: _updating(status_input),
        lambda: _on_the_move(status_input, parts[Condition.REBALANCING]),
        lambda: _failure(parts[Condition.MARKET_DATA_LIVE]),
        lambda: _missing_books(status_input),
    )
    for question in questions:
        if (answer := question()) is not None:
            reason, message = answer
            if status_input.closure is not None and reason in _OF_IB:
                message = f"{status_input.closure.text}; {message}"
            return CheckResult(Condition.READY, FALSE, reason, message)
    renewing = _renewing(status_input)
    message = f"streaming; at the nightly login: {listed(renewing)}" if renewing else "streaming"
    return CheckResult(Condition.READY, TRUE, Reason.STREAMING, message)


def _renewing(status_input: StatusInput) -> list[str]:
    """Return the workers whose scheduled login is under way. It is no problem while every contract is published."""
    return [
        shard_name(status_input.feed.name, worker.index) for worker in wanted(status_input) if worker.health.renewing
    ]


def _updating(status_input: StatusInput) -> tuple[Reason, str] | None:
    """Return the progress of a rolling update, None if there is none.

    It is over when all workers run one template, since between two pods all of them stream. It begins at the highest
    index, so that worker's template is the new one.
    """
    pods = [worker.pod for worker in wanted(status_input) if worker.pod is not None and worker.pod.revision]
    updated = sum(pod.revision == pods[-1].revision for pod in pods)
    if updated == len(pods):
        return None
    return Reason.UPDATING, f"rolling update: {updated} of {plural(len(pods), 'worker')} on the new template"


def _on_the_move(status_input: StatusInput, rebalancing: CheckResult) -> tuple[Reason, str] | None:
    if rebalancing.truth != TRUE or _renewing(status_input):
        return None
    return rebalancing.reason, rebalancing.message


def _failure(part: CheckResult) -> tuple[Reason, str] | None:
    return (part.reason, part.message) if part.bad else None


def _no_worker(status_input: StatusInput) -> tuple[Reason, str] | None:
    if streaming_count(status_input):
        return None
    found = problems_of(status_input)
    severe = [(name, problem) for name, problem in found if problem.severe]
    count = f"0/{status_input.feed.spec.workers} workers streaming"
    if severe:
        return severe[0][1].reason, f"{count}; {'; '.join(grouped(severe))}"
    steps = "; ".join(grouped(found))
    return Reason.PROGRESSING, f"{count}; {steps}" if steps else count


def _missing_workers(status_input: StatusInput) -> tuple[Reason, str] | None:
    renewing = _renewing(status_input)
    found = [(name, problem) for name, problem in problems_of(status_input) if name not in renewing]
    if not found:
        return None
    severe = [(name, problem) for name, problem in found if problem.severe]
    shown = severe or found
    reason = severe[0][1].reason if severe else Reason.PROGRESSING
    count = f"{streaming_count(status_input)}/{status_input.feed.spec.workers} workers streaming"
    return reason, f"{count}; {'; '.join(grouped(shown))}"


def _short_of_coverage(
    status_input: StatusInput, coverage: Coverage, covered: CheckResult
) -> tuple[Reason, str] | None:
    if covered.truth == TRUE:
        return None
    if covered.truth == UNKNOWN:
        return Reason.PROGRESSING, "asking IB for the contracts"
    contracts = status_input.universe.contracts
    if covered.reason is Reason.NOT_PUBLISHING and contracts:
        waiting = [contract.conid for contract in contracts if not coverage.covers(contract.conid)]
        if not why_not(status_input.workers).keys() & set(waiting):  # a normal step: no list of symbols in a column
            return covered.reason, f"{len(waiting)} of {plural(len(contracts), 'contract')} not yet publishing"
    return covered.reason, covered.message


def _unknown_root(universe: CheckResult) -> tuple[Reason, str] | None:
    """Return the wait for a root that IB has not been asked for yet, since it may have contracts."""
    return (Reason.PROGRESSING, universe.message) if universe.truth == UNKNOWN else None


def _with_cause(status_input: StatusInput, shortage: tuple[Reason, str] | None) -> tuple[Reason, str] | None:
    """Return the shortage, with the workers' problems added if a person has to act on them."""
    missing = _missing_workers(status_input)
    if shortage is None or missing is None or missing[0] is Reason.PROGRESSING:
        return shortage
    return shortage[0], f"{shortage[1]}; {missing[1]}"


def _missing_books(status_input: StatusInput) -> tuple[Reason, str] | None:
    missing = _depth_missing(status_input)
    reports = why_not(status_input.workers)
    refused = [
        f"{contract.symbol}: {reports[contract.conid].message}"
        for contract in status_input.universe.contracts
        if contract.conid in reports and reports[contract.conid].state is ContractState.PUBLISHING
    ]
    if refused and not missing:
        return Reason.SUBSCRIPTION_REFUSED, listed(refused, most=4)
    if not missing:
        return None
    return Reason.CAPACITY, (
        f"no order book of {listed(missing)}: IB gives one to each account; add workers, or lower depth.frontMonths"
    )


def _depth_missing(status_input: StatusInput) -> list[str]:
    return [item.symbol for item in status_input.unassigned if item.reason is UnassignedReason.DEPTH_CAPACITY]
