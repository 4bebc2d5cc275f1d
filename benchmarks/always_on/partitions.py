"""Without real processes: the model of failsafe explored, and many stories of a network that breaks at random."""

from __future__ import annotations

import logging
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

from ibfeed_local.progress import Progress
from support import failsafe_model
from support.partitions import LEASE_COUNT, story

_EVERY: Final = 50


def explored(progress: Progress) -> dict[str, Any]:
    """Explore holder, members and taker within the bounds of ``support.failsafe_model``."""
    states, violations = 0, 0
    for members, own in failsafe_model.CASES:
        found, wrong = failsafe_model.explore(members, own)
        states, violations = states + found, violations + len(wrong)
    progress.report(f"{states} states explored, {violations} violations")
    return {"model_states": states, "model_violations": violations}


def tell(count: int, progress: Progress) -> dict[str, Any]:
    """``double_sessions``: stories in which two processes held one Lease; ``stuck``: in which one was left over."""
    double, stuck, takes = 0, 0, 0
    with ProcessPoolExecutor(initializer=_quiet) as pool:
        for seed, (doubled, held, taken) in enumerate(pool.map(_ending, range(count))):
            double += doubled
            stuck += not doubled and held != LEASE_COUNT
            takes += taken
            if (seed + 1) % _EVERY == 0:
                progress.report(f"{seed + 1} stories: {takes} times a Lease was taken, {double} doubly, {stuck} stuck")
    return {"double_sessions": double, "stuck_leases": stuck, "partition_runs": count, "partition_takes": takes}


def _ending(seed: int) -> tuple[bool, int, int]:
    try:
        ending = story(seed)
    except AssertionError:
        return True, 0, 0
    return False, sum(count == 1 for count in ending.held.values()), ending.takes


def _quiet() -> None:
    logging.disable(logging.CRITICAL)
