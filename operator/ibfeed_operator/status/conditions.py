"""Turns check results into ``status.conditions``, whose times change only when a status flips."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

from ibfeed_api.reasons import Condition, Reason
from ibfeed_operator.model.feed_status import MAX_MESSAGE, ConditionStatus, FeedStatus
from ibfeed_operator.model.text import clip

Truth = Literal["True", "False", "Unknown"]
TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"


class CheckedCondition(Protocol):
    """One condition of any kind of object as it was just checked."""

    @property
    def condition(self) -> str: ...

    @property
    def truth(self) -> Truth: ...

    @property
    def reason(self) -> str: ...

    @property
    def message(self) -> str: ...


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One condition as it was just checked. ``message`` tells a person the state and what to do."""

    condition: Condition
    truth: Truth
    reason: Reason
    message: str

    @property
    def bad(self) -> bool:
        return self.truth == FALSE


def set_conditions(
    previous: Iterable[ConditionStatus], results: Iterable[CheckedCondition], *, generation: int, now: datetime
) -> tuple[ConditionStatus, ...]:
    """Return the results as conditions, in their order. ``now`` is timezone-aware.

    ``lastTransitionTime`` stays as it was unless the status flips. A previous condition without a result is dropped.
    """
    before = {condition.type: condition for condition in previous}
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def since(result: CheckedCondition) -> str:
        old = before.get(result.condition)
        return old.last_transition_time if old is not None and old.status == result.truth else stamp

    return tuple(
        ConditionStatus(
            type=str(result.condition),
            status=result.truth,
            reason=str(result.reason),
            message=clip(result.message, MAX_MESSAGE),
            last_transition_time=since(result),
            observed_generation=generation,
        )
        for result in results
    )


def states_of(status: FeedStatus) -> tuple[tuple[str, str, str], ...]:
    """Return type, status and reason of each condition, for the metrics."""
    return tuple((found.type, found.status, found.reason) for found in status.conditions)
