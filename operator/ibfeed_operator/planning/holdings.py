"""The shards of a feed as the hand-over sees them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ibfeed_api.feed import FeedSpec
from ibfeed_api.shard import Session
from ibfeed_operator.liveness.diagnosis import Observation, is_leaving
from ibfeed_operator.liveness.tracker import Verdict
from ibfeed_operator.model.types import Shard
from ibfeed_operator.planning.handover_state import Holding


def holdings_of(
    spec: FeedSpec,
    shards: Iterable[Shard],
    observations: Mapping[int, Observation],
    verdicts: Mapping[int, Verdict],
    ended: Callable[[int], Mapping[int, int]],
) -> list[Holding]:
    """Return one holding for each shard that stays. ``ended``: by worker ``Holding.ended``."""

    def is_relieved(worker: int) -> bool:
        return worker in verdicts and verdicts[worker].relieved

    return [
        Holding(
            worker=shard.worker,
            entries=shard.spec.contracts,
            reports=shard.status.contracts if shard.status is not None else (),
            streaming=shard.status is not None and shard.status.session is Session.STREAMING,
            leaving=spec.suspend or is_leaving(observations[shard.worker]) or is_relieved(shard.worker),
            silent=shard.worker in verdicts and verdicts[shard.worker].silent,
            ended=ended(shard.worker),
            home=shard.spec.home,
            lines=spec.accounts.lines_per_account,
            ladders=spec.accounts.depth_per_account,
        )
        for shard in sorted(shards, key=lambda shard: shard.worker)
        if not shard.deleting
    ]
