"""Conditions: what was found becomes ``status.conditions``, with times that move only when a status flips."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from ibfeed_api.reasons import Condition, Reason
from ibfeed_operator.model.feed_status import MAX_MESSAGE, ConditionStatus
from ibfeed_operator.model.text import clip

Truth = Literal["True", "False", "Unknown"]
TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One condition as it is found now. ``message`` is for a person: what is, and what to do."""

    condition: Condition
    truth: Truth
    reason: Reason
    message: str

    @property
    def bad(self) -> bool:
        return self.truth == FALSE


def set_conditions(
    previous: Iterable[ConditionStatus], check_conditions: Iterable[CheckResult], *, generation: int, now: datetime
) -> tuple[ConditionStatus, ...]:
    """Return the findings as conditions, in their order. ``now`` is timezone-aware.

    ``lastTransitionTime`` stays what it was unless the status flips. A condition that is no longer found goes.
    """
    before = {condition.type: condition for condition in previous}
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def since(finding: CheckResult) -> str:
        old = before.get(finding.condition)
        return old.last_transition_time if old is not None and old.status == finding.truth else stamp

    return tuple(
        ConditionStatus(
            type=str(finding.condition),
            status=finding.truth,
            reason=str(finding.reason),
            message=clip(finding.message, MAX_MESSAGE),
            last_transition_time=since(finding),
            observed_generation=generation,
        )
        for finding in check_conditions
    )
