"""Sorts a feed's workers by what they may be given: anything, nothing, or exactly what they have. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ibfeed_operator.liveness.tracker import Verdict
from ibfeed_operator.model.types import Feed, Health, KafkaAccess, Placement
from ibfeed_operator.planning.handover_state import Holding


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSets:
    """The feed's workers, by what they may be given.

    Args:
        wanted: the spec asks for them.
        relieved: they stream, and are drained for as long as a scheduled login takes.
        streaming: of the wanted ones; none while nothing is to move.
        unable: they stream and cannot publish, as far as is known.
        drained: they are given nothing.
        settling: they stream, were lost too often of late, and the others have lines enough.
        trusted: they may be given contracts, unless they are drained.
        fixed: they keep exactly what they have.
    """

    wanted: frozenset[int]
    relieved: frozenset[int]
    streaming: frozenset[int]
    unable: frozenset[int]
    drained: frozenset[int]
    settling: frozenset[int]
    trusted: frozenset[int]
    fixed: frozenset[int]


def worker_sets(
    feed: Feed,
    holdings: Sequence[Holding],
    verdicts: Mapping[int, Verdict],
    placement: Placement,
    *,
    gathering: bool,
    wanted_lines: int,
) -> WorkerSets:
    """Sort a feed's workers by what they may be given, for ``wanted_lines`` contracts."""
    relieved = frozenset(holding.worker for holding in holdings if verdicts[holding.worker].relieved)
    wanted = frozenset(holding.worker for holding in holdings if holding.worker < feed.spec.workers)
    streaming = frozenset(worker for worker in wanted if verdicts[worker].health.streaming or worker in relieved)
    if feed.spec.suspend or gathering:
        streaming = frozenset()
    kafka = {worker: verdicts[worker].health.kafka for worker in streaming}
    cut_off = frozenset(worker for worker, access in kafka.items() if access is KafkaAccess.CUT_OFF)
    unproven = frozenset(worker for worker, access in kafka.items() if access is KafkaAccess.UNPROVEN)
    drained = placement.drained | relieved | cut_off
    able = streaming - unproven
    settling = frozenset(worker for worker in able - drained if verdicts[worker].health.probation)
    if len(able - drained - settling) * feed.spec.accounts.lines_per_account < wanted_lines:
        settling = frozenset()
    returning = frozenset(worker for worker in wanted if verdicts[worker].health.state is Health.RETURNING)
    return WorkerSets(
        wanted=wanted,
        relieved=relieved,
        streaming=streaming,
        unable=cut_off | unproven,
        drained=drained,
        settling=settling,
        trusted=able - settling,
        fixed=returning | settling | unproven if able else wanted,
    )
