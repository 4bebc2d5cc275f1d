"""Checks condition ``UniverseResolved``: each root of the spec is known."""

from __future__ import annotations

from typing import Final

from ibfeed_api.reasons import Condition, Reason
from ibfeed_operator.model.text import plural
from ibfeed_operator.model.types import RootProblem, RootProblemKind, StatusInput
from ibfeed_operator.status.conditions import FALSE, TRUE, UNKNOWN, CheckResult

ROOT_REASONS: Final = {  # the worst first
    RootProblemKind.UNKNOWN: Reason.UNKNOWN_ROOT,
    RootProblemKind.AMBIGUOUS: Reason.AMBIGUOUS_ROOT,
    RootProblemKind.SHRANK: Reason.UNIVERSE_SHRANK,
    RootProblemKind.FAILED: Reason.RESOLVE_FAILED,
    RootProblemKind.UNUSABLE: Reason.UNUSABLE_CONTRACT,
}

_ROOT_TEXTS: Final = {
    RootProblemKind.UNKNOWN: "IB does not know root {root}: correct its symbol in spec.roots",
    RootProblemKind.AMBIGUOUS: "IB lists several products of {root}: name one in spec.roots",
    RootProblemKind.SHRANK: "IB's answer for {root} lacks contracts that have not expired; the last good ones are kept",
    RootProblemKind.FAILED: "IB could not be asked for {root}; the last good contracts are kept and it is asked again",
    RootProblemKind.UNUSABLE: "a contract of {root} is left out, since IB does not tell its month",
    RootProblemKind.WAITING: "{root} waits for a worker that can ask IB",
}


def check_universe(status_input: StatusInput) -> CheckResult:
    """Check that each root of the spec is resolved. The worst problem gives the reason."""
    universe = status_input.universe
    texts = [root_text(problem) for problem in universe.problems]
    for kind, reason in ROOT_REASONS.items():
        if any(problem.kind is kind for problem in universe.problems):
            return CheckResult(Condition.UNIVERSE_RESOLVED, FALSE, reason, "; ".join(texts))
    if texts or not universe.resolved:
        message = "; ".join(texts) or "waiting for a worker that can ask IB"
        return CheckResult(Condition.UNIVERSE_RESOLVED, UNKNOWN, Reason.WAITING_FOR_WORKER, message)
    roots = len(status_input.feed.spec.roots)
    message = f"{plural(len(universe.contracts), 'contract')} of {plural(roots, 'root')}"
    return CheckResult(Condition.UNIVERSE_RESOLVED, TRUE, Reason.RESOLVED, message)


def root_text(problem: RootProblem) -> str:
    """Return the problem of a root and its remedy, as a sentence without its full stop."""
    return (problem.message or _ROOT_TEXTS[problem.kind].format(root=problem.root)).rstrip(".")
