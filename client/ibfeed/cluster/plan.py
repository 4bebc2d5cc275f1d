"""The plan of an edited spec, as the operator tells it (``api/ibfeed_api/plan.py`` has its keys). No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ibfeed.cluster.objects import read

_VERBS: Final = {"new": "new", "move": "moving", "removed": "removed", "unassigned": "without a worker"}


class _Plan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class PlannedChange(_Plan, frozen=True, kw_only=True):
    """One contract that does not stay where it is. ``anyway``: the present spec asks for the same."""

    conid: int
    symbol: str
    kind: str
    source: str | None = msgspec.field(name="from", default=None)
    target: str | None = msgspec.field(name="to", default=None)
    reason: str = ""
    anyway: bool = False


class PlannedStandby(_Plan, frozen=True, kw_only=True):
    symbol: str
    source: str | None = msgspec.field(name="from", default=None)
    target: str | None = msgspec.field(name="to", default=None)


class PlannedWorker(_Plan, frozen=True, kw_only=True):
    """One worker before and after. ``account``: None: none is free, so it would wait."""

    worker: str
    change: str
    account: int | None = None
    contracts_before: int = 0
    contracts_after: int = 0
    standbys_before: int = 0
    standbys_after: int = 0
    lines: int = 0


class PlannedFeed(_Plan, frozen=True, kw_only=True):
    """The plan of one feed. ``generation``: of the IbFeed that it rests on."""

    feed: str
    generation: int = 0
    changes: tuple[PlannedChange, ...] = ()
    standbys: tuple[PlannedStandby, ...] = ()
    workers: tuple[PlannedWorker, ...] = ()
    restarts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def leaves_out(self) -> bool:
        """Whether a contract would be without a worker by this edit."""
        return any(one.kind == "unassigned" and not one.anyway for one in self.changes)


def read_plan(found: Mapping[str, Any]) -> PlannedFeed:
    """Raises ObjectError if the plan is of another version."""
    return read(PlannedFeed, found)


def summary(plan: PlannedFeed) -> str:
    """Return the whole effect in one line."""
    counts = Counter(one.kind for one in plan.changes if not one.anyway)
    parts = [f"{counts[kind]} {verb}" for kind, verb in _VERBS.items() if counts[kind]]
    parts += _workers(plan.workers)
    if plan.standbys:
        parts.append(f"standbys elsewhere: {len(plan.standbys)}")
    if plan.restarts:
        parts.append(f"{len(plan.restarts)} workers restart, one after the other")
    return f"{plan.feed}: {', '.join(parts) or 'nothing moves'}"


def _workers(workers: Iterable[PlannedWorker]) -> Iterable[str]:
    for change in ("added", "removed"):
        names = [one.worker for one in workers if one.change == change]
        if names:
            yield f"{change}: {', '.join(names)}"
