"""IbSinks as tests want them."""

from __future__ import annotations

from typing import Any

import msgspec

from ibfeed_api.feed import Kafka
from ibfeed_api.sink import PodReport, SinkSpec, SinkState
from ibfeed_operator.sinks.model import Sink, SinkFeed, SinkPodState, SinkStatus

REDIS: dict[str, Any] = {
    "feedRef": {"name": "energy"},
    "redis": {
        "url": "rediss://redis:6379/0",
        "user": "writer",
        "passwordSecretRef": {"name": "redis", "key": "writer"},
        "caSecretRef": {"name": "redis-ca"},
    },
}
CLICKHOUSE: dict[str, Any] = {"feedRef": {"name": "energy"}, "clickhouse": {"url": "http://clickhouse:8123"}}
COMPUTATION: dict[str, Any] = {
    "feedRef": {"name": "energy"},
    "computation": {
        "team": "desk",
        "name": "own",
        "sql": "SELECT $(HOME), '$$'",
        "redis": {"url": "redis://redis:6379"},
    },
}
KAFKA: dict[str, Any] = {
    "bootstrapServers": "kafka:9093",
    "securityProtocol": "SASL_SSL",
    "saslMechanism": "SCRAM-SHA-512",
    "secretRef": {"name": "kafka-user"},
    "caSecretRef": {"name": "kafka-ca"},
}


def spec_of(spec: dict[str, Any], **more: Any) -> SinkSpec:
    return msgspec.convert(spec | more, SinkSpec)


def sink(spec: dict[str, Any] | None = None, *, status: SinkStatus | None = None, **more: Any) -> Sink:
    return Sink(
        namespace="markets",
        name="latest",
        uid="u-1",
        generation=3,
        resource_version="7",
        spec=spec_of(REDIS if spec is None else spec, **more),
        status=status or SinkStatus(),
    )


def feed(**kafka: Any) -> SinkFeed:
    return SinkFeed(kafka=msgspec.convert({"bootstrapServers": "kafka:9092"} | kafka, Kafka))


def pod(
    name: str = "latest-sink-a", *, running: bool = True, deleting: bool = False, waiting: str = ""
) -> SinkPodState:
    return SinkPodState(name=name, sink="latest", deleting=deleting, running=running, waiting=waiting)


def report(**more: Any) -> PodReport:
    told: dict[str, Any] = {
        "reported_at": "2026-11-27T12:00:10.000Z",
        "started_at": "2026-11-27T11:00:00.000Z",
        "state": SinkState.WRITING,
        "rows": 10,
        "lag": 2,
        "last_event_time": "2026-11-27T12:00:08.500Z",
        "last_write_time": "2026-11-27T12:00:09.000Z",
        "latency_p99_ms": 400,
    }
    return PodReport(**told | more)
