"""One feed, brought to what its spec says: look, assess, act step by step. Level-triggered; safe to kill anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from ibfeed_operator import metrics
from ibfeed_operator.controller.assessment import assess
from ibfeed_operator.controller.context import Context
from ibfeed_operator.controller.dependencies import Dependencies
from ibfeed_operator.controller.memory import Memory
from ibfeed_operator.controller.shards import Shards
from ibfeed_operator.controller.snapshot import Snapshot, read_snapshot, write_status
from ibfeed_operator.controller.steps.adopt_shards import adopt_shards
from ibfeed_operator.controller.steps.apply_children import apply_children, remove_departed
from ibfeed_operator.controller.steps.assign_accounts import assign_accounts
from ibfeed_operator.controller.steps.assign_contracts import assign_contracts, plan_contracts
from ibfeed_operator.controller.steps.find_obstacles import find_obstacles
from ibfeed_operator.controller.steps.hold_lifelines import hold_lifelines
from ibfeed_operator.controller.steps.keep_failsafe import inquire, name_members
from ibfeed_operator.controller.steps.replace_pods import replace_pods
from ibfeed_operator.controller.steps.resolve_universe import resolve_universe
from ibfeed_operator.controller.steps.update_status import update_status
from ibfeed_operator.kube.errors import ConflictError, KubeError, NotFoundError
from ibfeed_operator.model.decode import InvalidFeed
from ibfeed_operator.planning.assignment import Decision
from ibfeed_operator.status.conditions import states_of
from ibfeed_operator.status.feed import status_of_invalid

TROUBLE_S: Final = 10.0  # failures that pass sooner are nobody's business
IDLE_S: Final = 60.0
DOUBT_S: Final = 1.0  # while a holder does not renew, and it is not known whether it goes on


class Reconciler:
    """Brings one feed to its spec, cycle by cycle; one cycle at a time. ``wake`` asks for the next one."""

    def __init__(self, dependencies: Dependencies, namespace: str, name: str, wake: Callable[[], None]) -> None:
        self._dependencies = dependencies
        self._namespace = namespace
        self._name = name
        self._memory = Memory.of(dependencies, wake)
        self._failing_since: float | None = None

    async def cycle(self) -> float | None:
        """One cycle. Returns the seconds until the next one at the latest; None: there is no such feed (any more).

        Raises ConflictError or NotFoundError if somebody wrote or deleted meanwhile (look again), any other KubeError
        if the API server refused; of the latter the status tells once it lasts.
        """
        dependencies = self._dependencies
        snapshot = await read_snapshot(
            dependencies.kube, dependencies.informers, self._namespace, self._name, dependencies.clock()
        )
        if snapshot is None:
            return None
        if isinstance(snapshot, InvalidFeed):
            await self._report_invalid(snapshot)
            return IDLE_S
        if snapshot.feed.deleting:
            return IDLE_S  # the garbage collector's work
        context = self._context(snapshot)
        decision: Decision | None = None
        doubts = inquire(context)
        hold_lifelines(context)
        try:
            find_obstacles(context)
            await adopt_shards(context)
            decision = plan_contracts(context)
            await assign_contracts(context, decision)
            await assign_accounts(context)
            await apply_children(context)
            await remove_departed(context)
            resolve_universe(context)
            await replace_pods(context)
            await name_members(context)
        except (ConflictError, NotFoundError):
            raise
        except KubeError as error:
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            if now - self._failing_since >= TROUBLE_S:
                await update_status(context, decision, trouble=str(error))
            raise
        self._failing_since = None
        await update_status(context, decision)
        return min(context.assessment.next_look_s, DOUBT_S) if doubts else context.assessment.next_look_s

    async def close(self) -> None:
        await self._memory.close()

    def _context(self, snapshot: Snapshot) -> Context:
        dependencies, memory = self._dependencies, self._memory
        assessment = assess(snapshot, memory, clock=dependencies.clock(), now=time.monotonic())
        return Context(
            dependencies=dependencies,
            memory=memory,
            snapshot=snapshot,
            assessment=assessment,
            shards=Shards(dependencies, memory, snapshot, assessment),
        )

    async def _report_invalid(self, invalid: InvalidFeed) -> None:
        status = status_of_invalid(
            invalid.status, generation=invalid.generation, message=invalid.message, now=datetime.now(UTC)
        )
        if status != invalid.status:
            await write_status(
                self._dependencies.kube, self._namespace, self._name, status, resource_version=invalid.resource_version
            )
        metrics.show_conditions(self._namespace, self._name, states_of(status))
