"""Checks condition ``Rebalancing``: contracts are on the move."""

from __future__ import annotations

from ibfeed_api.kinds import shard_name
from ibfeed_api.reasons import Condition, Reason
from ibfeed_operator.model.text import plural
from ibfeed_operator.model.types import StatusInput, UnassignedReason
from ibfeed_operator.status.checks.common import wanted
from ibfeed_operator.status.conditions import FALSE, TRUE, CheckResult
from ibfeed_operator.status.coverage import Coverage


def check_rebalancing(status_input: StatusInput, coverage: Coverage) -> CheckResult:
    """Check whether a contract is on the move, and which workers are on probation."""
    if status_input.on_hold:
        message = (
            "most workers lost their sessions, or hear nothing of IB, together: "
            "contracts stay where they are until IB lets them back in"
        )
        return CheckResult(Condition.REBALANCING, FALSE, Reason.STABLE, message)
    moving = set(coverage.moving)
    moving |= {item.conid for item in status_input.unassigned if item.reason is UnassignedReason.MOVING}
    if moving:
        message = f"{plural(len(moving), 'contract')} on the move"
        return CheckResult(Condition.REBALANCING, TRUE, Reason.MOVING, message)
    on_probation = [
        f"{shard_name(status_input.feed.name, worker.index)} was {worker.health.probation}"
        for worker in wanted(status_input)
        if worker.health.probation
    ]
    if on_probation:
        return CheckResult(Condition.REBALANCING, FALSE, Reason.SETTLING, "; ".join(on_probation))
    return CheckResult(Condition.REBALANCING, FALSE, Reason.STABLE, "no contract is on the move")
