"""The memory of one feed between cycles. A new operator process starts without it and misses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from ibfeed_operator.controller.dependencies import Dependencies
from ibfeed_operator.controller.inquiries import Inquiries
from ibfeed_operator.controller.lifelines import Lifelines
from ibfeed_operator.controller.pod_events import PodEvents
from ibfeed_operator.controller.universe_resolver import UniverseResolver
from ibfeed_operator.kube.events import EventRecorder
from ibfeed_operator.liveness.processes import ProcessTracker
from ibfeed_operator.liveness.tracker import LivenessTracker
from ibfeed_operator.model.types import Health
from ibfeed_operator.planning.refusals import Refusals


@dataclass(slots=True, kw_only=True)
class Memory:
    """Clocks, what was applied last (to spare the API server), and IB's latest answers."""

    resolver: UniverseResolver
    events: PodEvents
    recorder: EventRecorder
    inquiries: Inquiries
    lifelines: Lifelines
    liveness: LivenessTracker = field(default_factory=LivenessTracker)
    processes: ProcessTracker = field(default_factory=ProcessTracker)
    refusals: Refusals = field(default_factory=Refusals)
    applied: dict[str, tuple[str, float]] = field(default_factory=dict)  # path -> (digest, when)
    states: dict[int, Health] = field(default_factory=dict)
    remarks: dict[int, str] = field(default_factory=dict)  # worker -> the reason that it gave last, while it streams
    broken: dict[str, float] = field(default_factory=dict)  # uid of a pod that cannot come to stream -> since when
    rollout_at: float = float("-inf")  # when the StatefulSet was last asked for its templates
    members_at: float = float("-inf")  # when members were last written into shards
    handing: dict[int, float] = field(default_factory=dict)  # conid -> since when it is in a hand-over
    first_streaming: float | None = None  # when the first worker of a new feed came to stream

    @classmethod
    def of(cls, dependencies: Dependencies, wake: Callable[[], None]) -> Memory:
        """Return the memory of a feed that nothing is known of. ``wake`` asks for its next cycle."""
        kube, http, signer = dependencies.kube, dependencies.http, dependencies.signer
        return cls(
            resolver=UniverseResolver(kube, http, signer, wake),
            events=PodEvents(kube, dependencies.asking_events, wake),
            recorder=EventRecorder(kube),
            inquiries=Inquiries(kube, http, dependencies.failsafe, signer, wake),
            lifelines=Lifelines(http, wake),
        )

    async def close(self) -> None:
        """End what runs in the background."""
        await asyncio.gather(self.resolver.close(), self.events.close(), self.inquiries.close(), self.lifelines.close())

    def forget(self, worker: int) -> None:
        self.processes.forget(worker)
        for kept in (self.states, self.remarks):
            kept.pop(worker, None)
