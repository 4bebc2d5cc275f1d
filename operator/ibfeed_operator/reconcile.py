"""One feed, brought to what its spec says: observe, decide, write, report. Level-triggered; safe to kill anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from ibfeed_operator.announce import Announcer
from ibfeed_operator.cluster import ClusterError, Conflict, NotFound
from ibfeed_operator.observe import observe, write_status
from ibfeed_operator.pod_events import PodEvents
from ibfeed_operator.read import Invalid
from ibfeed_operator.resolver import Resolver
from ibfeed_operator.shared import Shared
from ibfeed_operator.status import status_of_invalid
from ibfeed_operator.steps.adopt_shards import adopt_shards
from ibfeed_operator.steps.apply_children import apply_children, remove_departed
from ibfeed_operator.steps.ask import ask
from ibfeed_operator.steps.give_accounts import give_accounts
from ibfeed_operator.steps.hand_over import hand_over
from ibfeed_operator.steps.look_for_obstacles import look_for_obstacles
from ibfeed_operator.steps.replace_broken import replace_broken
from ibfeed_operator.steps.report import report
from ibfeed_operator.visit import Memory, Visit

TROUBLE_S: Final = 10.0  # failures that pass sooner are nobody's business
IDLE_S: Final = 60.0


class Reconciler:
    """Brings one feed to its spec, cycle by cycle; one cycle at a time. ``wake`` asks for the next one."""

    def __init__(self, shared: Shared, namespace: str, name: str, wake: Callable[[], None]) -> None:
        self._shared = shared
        self._namespace = namespace
        self._name = name
        resolver = Resolver(shared.cluster, shared.http, shared.signer, wake)
        events = PodEvents(shared.cluster, shared.asking_events, wake)
        self._memory = Memory(resolver=resolver, events=events, announcer=Announcer(shared.cluster))
        self._failing_since: float | None = None

    async def cycle(self) -> float | None:
        """One cycle. Returns the seconds until the next one at the latest; None: there is no such feed (any more).

        Raises Conflict or NotFound if somebody wrote or deleted meanwhile (look again), any other ClusterError if the
        API server refused; of the latter the status tells once it lasts.
        """
        shared = self._shared
        world = await observe(shared.cluster, shared.views, self._namespace, self._name, shared.clock())
        if world is None:
            return None
        if isinstance(world, Invalid):
            await self._report_invalid(world)
            return IDLE_S
        if world.feed.deleting:
            return IDLE_S  # the garbage collector's work
        visit = Visit(self._shared, self._memory, world)
        try:
            await self._act(visit)
        except (Conflict, NotFound):
            raise
        except ClusterError as error:
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            if now - self._failing_since >= TROUBLE_S:
                await report(visit, trouble=str(error))
            raise
        self._failing_since = None
        await report(visit)
        return visit.next_look_s

    async def close(self) -> None:
        await self._memory.resolver.close()
        await self._memory.events.close()

    async def _act(self, visit: Visit) -> None:
        look_for_obstacles(visit)
        await adopt_shards(visit)
        await hand_over(visit)
        await give_accounts(visit)
        await apply_children(visit)
        await remove_departed(visit)
        ask(visit)
        await replace_broken(visit)

    async def _report_invalid(self, invalid: Invalid) -> None:
        status = status_of_invalid(
            invalid.status, generation=invalid.generation, message=invalid.message, now=datetime.now(UTC)
        )
        if status != invalid.status:
            await write_status(
                self._shared.cluster, self._namespace, self._name, status, resource_version=invalid.resource_version
            )
