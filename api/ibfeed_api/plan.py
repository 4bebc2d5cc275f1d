"""The plan of an edited spec, as JSON: what would move, and why, if it were applied now.

The operator makes it with its own planner (``ibfeed_operator/planning/preview.py``), and ``ibfeed plan`` shows it. The
keys are those below in camel case, and all of them are always there.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ChangeKind(StrEnum):
    """The effect on a contract."""

    NEW = "new"  # it gets a worker, and had none
    MOVE = "move"  # it goes from one worker to another, make before break where both have a line
    REMOVED = "removed"  # the feed does not have it any more
    UNASSIGNED = "unassigned"  # no worker has a line for it


class WorkerChange(StrEnum):
    """The effect on a worker."""

    ADDED = "added"
    KEPT = "kept"
    REMOVED = "removed"


class _PlanStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class ContractChange(_PlanStruct, frozen=True, kw_only=True):
    """One contract that does not stay where it is.

    Args:
        source, target: names of workers (keys ``from`` and ``to``), None: none.
        reason: a clause for a person.
        anyway: the present spec asks for the same, so it is no effect of the edit.
    """

    conid: int
    symbol: str
    kind: ChangeKind
    source: str | None = msgspec.field(name="from", default=None)
    target: str | None = msgspec.field(name="to", default=None)
    reason: str = ""
    anyway: bool = False


class StandbyChange(_PlanStruct, frozen=True, kw_only=True):
    """One contract that is held ready at another worker than before; None: at none."""

    conid: int
    symbol: str
    source: str | None = msgspec.field(name="from", default=None)
    target: str | None = msgspec.field(name="to", default=None)


class WorkerPlan(_PlanStruct, frozen=True, kw_only=True):
    """One worker before and after.

    Args:
        account: that it has or would get; None: none is free, so it would wait.
        lines: of its account, after the edit. Contracts and standbys take one each.
    """

    worker: str
    change: WorkerChange
    account: int | None = None
    contracts_before: int = 0
    contracts_after: int = 0
    standbys_before: int = 0
    standbys_after: int = 0
    lines: int = 0


class PlanDocument(_PlanStruct, frozen=True, kw_only=True):
    """The whole plan of one feed.

    Args:
        generation: of the IbFeed that the plan rests on.
        restarts: workers that restart, one after the other, since their pods change. Each hands over before it ends.
        notes: sentences for a person: what the plan takes for granted, and what it cannot know.
    """

    feed: str
    generation: int
    changes: tuple[ContractChange, ...] = ()
    standbys: tuple[StandbyChange, ...] = ()
    workers: tuple[WorkerPlan, ...] = ()
    restarts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
