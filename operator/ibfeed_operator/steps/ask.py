"""Have the roots resolved, in the background, by a worker that streams."""

from __future__ import annotations

from ibfeed_operator.facts import RootTrouble
from ibfeed_operator.resolver import Candidate
from ibfeed_operator.visit import Visit


def ask(visit: Visit) -> None:
    candidates = [
        Candidate(shard=shard.name, ip=pod.ip, operator_key=shard.spec.operator_key)
        for worker, shard in sorted(visit.shards.items())
        if (verdict := visit.verdicts.get(worker)) is not None
        and verdict.health.streaming
        and (pod := visit.pods.get(worker)) is not None
        and pod.ip
    ]
    doubtful = {problem.root for problem in visit.universe.problems if problem.trouble is RootTrouble.SHRANK}
    visit.memory.resolver.refresh(visit.feed, visit.known, candidates, doubtful=doubtful, today=visit.today)
