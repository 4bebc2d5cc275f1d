"""Queries of the status input that several conditions share."""

from __future__ import annotations

from collections.abc import Sequence

from ibfeed_api.kinds import shard_name
from ibfeed_operator.model.text import listed
from ibfeed_operator.model.types import Contract, StatusInput, Worker
from ibfeed_operator.status.worker_problems import WorkerProblem, problem_of


def wanted(status_input: StatusInput) -> tuple[Worker, ...]:
    """Return the workers that the spec asks for, without those that a smaller ``spec.workers`` removes."""
    return tuple(worker for worker in status_input.workers if worker.index < status_input.feed.spec.workers)


def streaming_count(status_input: StatusInput) -> int:
    """Return how many of the wanted workers stream."""
    return sum(worker.health.streaming for worker in wanted(status_input))


def problems_of(status_input: StatusInput) -> list[tuple[str, WorkerProblem]]:
    """Return name and problem of each wanted worker that does not stream."""
    feed = status_input.feed
    found = ((shard_name(feed.name, worker.index), problem_of(worker, feed)) for worker in wanted(status_input))
    return [(name, problem) for name, problem in found if problem is not None]


def reporting(status_input: StatusInput) -> list[Worker]:
    """Return the workers whose container runs, so that their reports may count."""
    return [
        worker
        for worker in status_input.workers
        if worker.pod is not None and worker.pod.container_running and worker.shard is not None
    ]


def symbols(contracts: Sequence[Contract]) -> str:
    """Return the first symbols of the contracts, for a message."""
    return listed(contract.symbol for contract in contracts)
