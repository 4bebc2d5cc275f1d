"""The meaning of a snapshot: live workers, known contracts, and placements that people ask for. Does no I/O itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ibfeed_operator.controller.memory import Memory
from ibfeed_operator.controller.snapshot import Snapshot
from ibfeed_operator.liveness.diagnosis import Observation, observe
from ibfeed_operator.liveness.tracker import Verdict
from ibfeed_operator.model.types import Contract, Placement, Pod, Universe
from ibfeed_operator.planning.placement import placement
from ibfeed_operator.planning.universe import merge, remembered, trading_day


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The meaning of a snapshot.

    Args:
        today: the trading day, YYYYMMDD.
        known: contracts of shards and status, by conid.
        next_look_s: seconds until a verdict may change although nothing happens.
    """

    today: str
    pods: Mapping[int, Pod]
    observations: Mapping[int, Observation]
    verdicts: Mapping[int, Verdict]
    next_look_s: float
    known: Mapping[int, Contract]
    universe: Universe
    placement: Placement


def assess(snapshot: Snapshot, memory: Memory, *, clock: datetime, now: float) -> Assessment:
    """``clock`` tells which contracts have expired; ``now`` is monotonic, in seconds. Brings ``memory`` up to date."""
    pods = {pod.worker: pod for pod in snapshot.pods}
    observations = observe(snapshot.feed, snapshot.shards, pods, snapshot.leases, memory.lifelines.ended)
    verdicts = memory.liveness.assess(observations, now)
    for shard in snapshot.shards:
        memory.processes.observe(shard, silent=verdicts[shard.worker].silent)
    today = trading_day(clock)
    known = remembered(snapshot.feed, snapshot.shards)
    universe = merge(snapshot.feed.spec, known, memory.resolver.answers, today=today)
    return Assessment(
        today=today,
        pods=pods,
        observations=observations,
        verdicts=verdicts,
        next_look_s=memory.liveness.next_change_s(observations, now),
        known=known,
        universe=universe,
        placement=placement(snapshot.feed, universe, snapshot.shards),
    )
