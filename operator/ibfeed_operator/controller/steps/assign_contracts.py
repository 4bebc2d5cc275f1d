"""Give contracts to workers: the urgent step, so the first one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from ibfeed_api.events import EventReason
from ibfeed_api.logins import LOGIN_SPACING_S
from ibfeed_api.records import epoch_at
from ibfeed_operator import metrics
from ibfeed_operator.controller.context import Context
from ibfeed_operator.model.text import listed, plural
from ibfeed_operator.model.types import Health, KafkaAccess, WorkerHealth
from ibfeed_operator.planning.assignment import Decision, decide
from ibfeed_operator.planning.handover import step
from ibfeed_operator.planning.handover_state import owners

# A new feed's workers come to stream one after the other within seconds. An operator that waits for them moves
# nothing afterwards.
GATHER_S: Final = 5.0  # and their logins are spread
_LONGEST_GATHERING_S: Final = 15.0
_CUT_OFF: Final = "cannot publish while others can"
_MOST_STEPS: Final = 8  # retire, activate, drop, and room for what becomes free by them


def plan_contracts(context: Context) -> Decision:
    """Give each contract a worker, or a reason why it has none."""
    refusals, holdings = context.memory.refusals, context.holdings()
    refusals.observe(holdings, time.monotonic())
    return decide(
        context.feed,
        context.assessment.universe,
        holdings,
        context.verdicts,
        placement=context.assessment.placement,
        accountless={worker for worker, shard in context.shards.items() if shard.spec.account is None},
        gathering=_gathering(context),
        refused=refusals.by_contract(),
        full=refusals.full(),
        nodes={worker: pod.node for worker, pod in context.pods.items()},
        epoch_floor=epoch_at(context.dependencies.clock().timestamp()),
    )


async def assign_contracts(context: Context, decision: Decision) -> None:
    """Write as many steps of the hand-over as can be made without waiting for a worker."""
    before = owners(context.holdings())
    for worker, home in decision.homes.items():  # before anything that is lent leaves
        await context.shards.patch(context.shards[worker], {"home": list(home)})
    for _ in range(_MOST_STEPS):
        rewrites = step(context.holdings(), decision.targets)
        if not rewrites:
            break
        # In any order, since the rewrites of one step do not depend on each other; but all, whichever fails.
        results = await asyncio.gather(
            *(
                context.shards.patch(
                    context.shards[rewrite.worker], {"contracts": msgspec.to_builtins(rewrite.entries)}
                )
                for rewrite in rewrites
            ),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
    await _record_events(context, before, owners(context.holdings()))


def _gathering(context: Context) -> bool:
    """Whether this feed has never given a contract to anybody, and more workers are expected any moment."""
    if context.feed.status.highest_epoch or any(shard.spec.contracts for shard in context.shards.values()):
        return False
    states = [context.verdicts[worker].health.state for worker in range(context.feed.spec.workers)]
    if Health.STREAMING not in states:
        return False
    context.memory.first_streaming = context.memory.first_streaming or time.monotonic()
    expected = states.count(Health.STARTING) + states.count(Health.ABSENT)
    expected += sum(not context.verdicts[worker].health.proven for worker in range(context.feed.spec.workers))
    patience = min(GATHER_S + LOGIN_SPACING_S * expected, _LONGEST_GATHERING_S)
    return expected > 0 and time.monotonic() - context.memory.first_streaming < patience


def _why_moved(health: WorkerHealth) -> str:
    return _CUT_OFF if health.kafka is KafkaAccess.CUT_OFF else health.reason


async def _record_events(context: Context, before: Mapping[int, int], after: Mapping[int, int]) -> None:
    feed = context.feed
    moved = Counter((before[conid], worker) for conid, worker in after.items() if before.get(conid, worker) != worker)
    # One event tells of all that a lost worker had, or that a worker was given: there may be hundreds of others.
    told: dict[tuple[int, str], Counter[int]] = {}
    for (old, new), count in sorted(moved.items()):
        metrics.MOVES.labels(feed.namespace, feed.name).inc(count)
        reason = _why_moved(context.verdicts[old].health) if old in context.verdicts else ""
        worker, other = (old, new) if reason else (new, old)
        told.setdefault((worker, reason), Counter())[other] += count
    for (worker, reason), others in told.items():
        name, rest = context.name_of(worker), listed(context.name_of(other) for other in others)
        what = f"{plural(others.total(), 'contract')} moved"
        if reason and context.verdicts[worker].relieved:
            message = f"{what} from {name} to {rest}: {reason}"
        elif reason == _CUT_OFF:
            message = f"{what} from {name} to {rest}, since {name} {reason}"
        elif reason:
            message = f"{what} from {name} to {rest}, since {name} is lost: {reason}"
        else:
            message = f"{what} from {rest} to {name}"
        await context.memory.recorder.post(feed, "Normal", EventReason.CONTRACTS_MOVED, f"{name} {reason}", message)
