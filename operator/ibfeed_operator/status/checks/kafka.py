"""Checks condition ``KafkaReachable``: each worker can publish."""

from __future__ import annotations

from ibfeed_api.kinds import shard_name
from ibfeed_api.reasons import Condition, Reason
from ibfeed_api.shard import KafkaStatus
from ibfeed_operator.model.text import listed
from ibfeed_operator.model.types import KafkaAccess, StatusInput, Worker
from ibfeed_operator.status.checks.common import reporting
from ibfeed_operator.status.conditions import FALSE, TRUE, UNKNOWN, CheckResult
from ibfeed_operator.status.worker_problems import REASONS, by_text


def check_kafka(status_input: StatusInput) -> CheckResult:
    """Check that Kafka acknowledges the records of each worker that reports."""
    reports = [(worker, _kafka_status(worker)) for worker in reporting(status_input)]
    down = [(worker, kafka) for worker, kafka in reports if kafka.reachable is False]
    if down:
        causes = [(shard_name(status_input.feed.name, worker.index), _cause(worker, kafka)) for worker, kafka in down]
        reason = REASONS.get(down[0][1].reason, Reason.KAFKA_UNREACHABLE)
        return CheckResult(Condition.KAFKA_REACHABLE, FALSE, reason, "; ".join(by_text(causes)))
    waiting = [
        shard_name(status_input.feed.name, worker.index) for worker, kafka in reports if _is_untried(worker, kafka)
    ]
    proven = [kafka for _, kafka in reports if kafka.reachable]
    if waiting or not proven:
        message = f"not tried yet by {listed(waiting)}" if waiting else "no worker has tried yet"
        return CheckResult(Condition.KAFKA_REACHABLE, UNKNOWN, Reason.WAITING_FOR_WORKER, message)
    servers = status_input.feed.spec.kafka.bootstrap_servers
    remarks = sorted({kafka.message for kafka in proven if kafka.reason})
    message = "; ".join([f"records are acknowledged by {servers}", *remarks]) + _reference_text(status_input)
    return CheckResult(Condition.KAFKA_REACHABLE, TRUE, Reason.KAFKA_OK, message)


def _kafka_status(worker: Worker) -> KafkaStatus:
    status = worker.shard.status if worker.shard is not None else None
    return (status.kafka if status is not None else None) or KafkaStatus()


def _is_untried(worker: Worker, kafka: KafkaStatus) -> bool:
    """Whether a worker streams, and so could have contracts, but has not shown yet that it can publish."""
    return worker.health.streaming and kafka.reachable is None


def _cause(worker: Worker, kafka: KafkaStatus) -> str:
    """Return why a worker cannot publish, and whether others publish its contracts."""
    text = f"cannot publish: {kafka.message or 'it does not say why'}"
    return f"{text}; others can, and go on with what it had" if worker.health.kafka is KafkaAccess.CUT_OFF else text


def _reference_text(status_input: StatusInput) -> str:
    """Return why records of reference data are missing, which stops no ticks; empty if they are written."""
    reports = [
        (shard_name(status_input.feed.name, worker.index), worker.shard.status.reference)
        for worker in reporting(status_input)
        if worker.shard is not None and worker.shard.status is not None and worker.shard.status.reference
    ]
    return f"; but {listed(name for name, _ in reports)} says: {reports[0][1]}" if reports else ""
