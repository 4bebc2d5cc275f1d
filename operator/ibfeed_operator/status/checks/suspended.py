"""Checks condition ``Suspended``: the feed is suspended and all its workers are logged out."""

from __future__ import annotations

from ibfeed_api.reasons import Condition, Reason
from ibfeed_operator.model.text import plural
from ibfeed_operator.model.types import StatusInput
from ibfeed_operator.status.conditions import FALSE, TRUE, CheckResult


def check_suspended(status_input: StatusInput) -> CheckResult:
    """Check whether ``spec.suspend`` is true and no worker has a pod."""
    if not status_input.feed.spec.suspend:
        return CheckResult(Condition.SUSPENDED, FALSE, Reason.NOT_SUSPENDED, "spec.suspend is false")
    pods = sum(worker.pod is not None for worker in status_input.workers)
    if pods:
        message = f"{plural(pods, 'worker')} still logging out"
        return CheckResult(Condition.SUSPENDED, FALSE, Reason.PROGRESSING, message)
    message = "every worker is logged out; set spec.suspend to false to go on"
    return CheckResult(Condition.SUSPENDED, TRUE, Reason.SUSPENDED, message)
