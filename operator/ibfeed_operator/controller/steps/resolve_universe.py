"""Have the roots resolved, in the background, by a worker that streams."""

from __future__ import annotations

from ibfeed_operator.controller.context import Context
from ibfeed_operator.controller.universe_resolver import ResolverCandidate
from ibfeed_operator.model.types import RootProblemKind


def resolve_universe(context: Context) -> None:
    candidates = [
        ResolverCandidate(shard=shard.name, ip=pod.ip, operator_key=shard.spec.operator_key)
        for worker, shard in sorted(context.shards.items())
        if (verdict := context.verdicts.get(worker)) is not None
        and verdict.health.streaming
        and (pod := context.pods.get(worker)) is not None
        and pod.ip
    ]
    doubtful = {
        problem.root for problem in context.assessment.universe.problems if problem.kind is RootProblemKind.SHRANK
    }
    context.memory.resolver.refresh(
        context.feed, context.assessment.known, candidates, doubtful=doubtful, today=context.assessment.today
    )
