"""Give contracts to workers: the urgent step, so the first one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from ibfeed_api.names import LOGIN_SPACING_S
from ibfeed_api.records import epoch_at
from ibfeed_operator import metrics
from ibfeed_operator.conditions import listed, plural
from ibfeed_operator.decide import decide
from ibfeed_operator.facts import Health, KafkaAccess, WorkerHealth
from ibfeed_operator.handover import owners, step
from ibfeed_operator.visit import Visit

# A new feed's workers come to stream one after the other within seconds. Who waits for them moves nothing afterwards.
GATHER_S: Final = 5.0  # and their logins are spread
_LONGEST_GATHERING_S: Final = 15.0
_CUT_OFF: Final = "cannot publish while others can"
_MOST_STEPS: Final = 8  # retire, activate, drop, and room for what becomes free by them


async def hand_over(visit: Visit) -> None:
    """Plan, and write as many steps of the hand-over as can be made without waiting for a worker."""
    before = owners(visit.holdings())
    refusals = visit.memory.refusals
    refusals.see(visit.holdings(), time.monotonic())
    gathering = _gathering(visit)
    visit.decision = decide(
        visit.feed,
        visit.universe,
        visit.holdings(),
        visit.verdicts,
        placement=visit.placement,
        accountless={worker for worker, shard in visit.shards.items() if shard.spec.account is None},
        gathering=gathering,
        refused=refusals.by_contract(),
        full=refusals.full(),
        epoch_floor=epoch_at(visit.shared.clock().timestamp()),
    )
    for worker, home in visit.decision.homes.items():  # before anything that is lent leaves
        await visit.patch_shard(visit.shards[worker], {"home": list(home)})
    for _ in range(_MOST_STEPS):
        rewrites = step(visit.holdings(), visit.decision.targets)
        if not rewrites:
            break
        # In any order, since the rewrites of one step do not depend on each other; but all, whichever fails.
        results = await asyncio.gather(
            *(
                visit.patch_shard(visit.shards[rewrite.worker], {"contracts": msgspec.to_builtins(rewrite.entries)})
                for rewrite in rewrites
            ),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
    await _announce(visit, before, owners(visit.holdings()))


def _gathering(visit: Visit) -> bool:
    """Whether this feed has never given a contract to anybody, and more workers are expected any moment."""
    if visit.feed.status.highest_epoch or any(shard.spec.contracts for shard in visit.shards.values()):
        return False
    states = [visit.verdicts[worker].health.state for worker in range(visit.feed.spec.workers)]
    if Health.STREAMING not in states:
        return False
    visit.memory.first_streaming = visit.memory.first_streaming or time.monotonic()
    expected = states.count(Health.STARTING) + states.count(Health.ABSENT)
    expected += sum(not visit.verdicts[worker].health.proven for worker in range(visit.feed.spec.workers))
    patience = min(GATHER_S + LOGIN_SPACING_S * expected, _LONGEST_GATHERING_S)
    return expected > 0 and time.monotonic() - visit.memory.first_streaming < patience


def _why_moved(health: WorkerHealth) -> str:
    return _CUT_OFF if health.kafka is KafkaAccess.CUT_OFF else health.reason


async def _announce(visit: Visit, before: Mapping[int, int], after: Mapping[int, int]) -> None:
    feed = visit.feed
    moved = Counter((before[conid], worker) for conid, worker in after.items() if before.get(conid, worker) != worker)
    # One event tells of all that a lost worker had, or that a worker was given: there may be hundreds of others.
    told: dict[tuple[int, str], Counter[int]] = {}
    for (old, new), count in sorted(moved.items()):
        metrics.MOVES.labels(feed.namespace, feed.name).inc(count)
        reason = _why_moved(visit.verdicts[old].health) if old in visit.verdicts else ""
        worker, other = (old, new) if reason else (new, old)
        told.setdefault((worker, reason), Counter())[other] += count
    for (worker, reason), others in told.items():
        name, rest = visit.name_of(worker), listed(visit.name_of(other) for other in others)
        what = f"{plural(others.total(), 'contract')} moved"
        if reason and visit.verdicts[worker].relieved:
            message = f"{what} from {name} to {rest}: {reason}"
        elif reason == _CUT_OFF:
            message = f"{what} from {name} to {rest}, since {name} {reason}"
        elif reason:
            message = f"{what} from {name} to {rest}, since {name} is lost: {reason}"
        else:
            message = f"{what} from {rest} to {name}"
        await visit.memory.announcer.post(feed, "Normal", "ContractsMoved", f"{name} {reason}", message)
