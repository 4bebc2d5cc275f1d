"""The parts of an object that a decision can rest on. An event that changes none of them wakes no feed. Pure.

Workers write ``lastTickTime`` every ten seconds and renew Leases every three; the regular look sees these soon enough.
Of a pod no more is read than matters, so any two that differ do. Feeds and StatefulSets come as kopf's dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ibfeed_api.labels import ANNOTATION_PIN
from ibfeed_api.shard import ContractState, Report, ShardStatus
from ibfeed_operator.model.types import AccountLease, Shard

Body = Mapping[str, Any]


def of_feed(body: Body) -> object:
    meta = body["metadata"]
    pin = (meta.get("annotations") or {}).get(ANNOTATION_PIN)
    return (meta.get("uid"), meta.get("generation"), meta.get("deletionTimestamp"), pin)


def of_workload(body: Body) -> object:
    meta = body["metadata"]
    return (meta.get("uid"), meta.get("generation"), meta.get("deletionTimestamp"))


def of_shard(shard: Shard) -> object:
    status = shard.status or ShardStatus()
    reports = [(report.conid, report.epoch, report.state, report.kafka_epoch) for report in status.contracts]
    told = (status.started_at, status.session, status.reason, status.message, status.account, status.market_data_live)
    kafka = (status.kafka, status.reference)
    return (shard.uid, shard.deleting, shard.drain, shard.spec, told, kafka, reports)


def of_lease(lease: AccountLease) -> object:
    told = (lease.failed, lease.last_failure, lease.parked, lease.next_login, lease.history.try_again_at)
    return (lease.holder, lease.fenced, *told, lease.user, lease.troubles)


def decision_inputs(shard: Shard) -> object:
    """The inputs that a shard gives to a decision. The mark of a contract is one once its worker has let go."""
    status = shard.status
    told = status and (status.started_at, status.session, status.account, _can_publish(status))
    reports = status.contracts if status else ()
    marks = ((report.conid, report.epoch, report.state, report.kafka_epoch, _mark_of(report)) for report in reports)
    return (shard.uid, shard.deleting, shard.spec, told, tuple(marks))


def _can_publish(status: ShardStatus) -> bool:
    return status.kafka is not None and status.kafka.reachable is True


def _mark_of(report: Report) -> tuple[int | None, int | None] | None:
    return (report.event_time, report.seq) if report.state is ContractState.RELEASED else None
