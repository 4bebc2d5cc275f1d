"""The context of one reconcile cycle, shared by its steps: snapshot, assessment, and the shards as they are by now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ibfeed_api.events import EventReason
from ibfeed_api.kinds import shard_name
from ibfeed_operator.controller.assessment import Assessment
from ibfeed_operator.controller.dependencies import Dependencies
from ibfeed_operator.controller.memory import Memory
from ibfeed_operator.controller.shards import Shards
from ibfeed_operator.controller.snapshot import Snapshot
from ibfeed_operator.liveness.tracker import Verdict
from ibfeed_operator.model.types import Feed, Pod
from ibfeed_operator.planning.handover_state import Holding
from ibfeed_operator.planning.holdings import holdings_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One cycle. Only ``shards`` changes, by what its steps write."""

    dependencies: Dependencies
    memory: Memory
    snapshot: Snapshot
    assessment: Assessment
    shards: Shards

    @property
    def feed(self) -> Feed:
        return self.snapshot.feed

    @property
    def pods(self) -> Mapping[int, Pod]:
        return self.assessment.pods

    @property
    def verdicts(self) -> Mapping[int, Verdict]:
        return self.assessment.verdicts

    def name_of(self, worker: int) -> str:
        return shard_name(self.feed.name, worker)

    def holdings(self) -> list[Holding]:
        """The shards as the hand-over sees them."""
        return holdings_of(
            self.feed.spec,
            self.shards.values(),
            self.assessment.observations,
            self.verdicts,
            self.memory.processes.ended,
        )

    async def record_adoption(self, what: str) -> None:
        text = f"{what} was left by an earlier IbFeed of this name and is now this one's"
        await self.memory.recorder.post(self.feed, "Normal", EventReason.ADOPTED, what, text)
