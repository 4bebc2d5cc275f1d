"""Reading sinks, Deployments and pods from the API server's JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ibfeed_operator.model.decode import InvalidFeed
from ibfeed_operator.sinks.model import SinkFeed, SinkStatus, read_sink, read_sink_feed, read_sink_pod, read_workload
from support.ibsinks import KAFKA, REDIS

META = {"name": "latest", "namespace": "markets", "uid": "u", "generation": 2, "resourceVersion": "5"}
LABELS = {"labels": {"ibfeed.dev/sink": "latest"}}


def raw(**parts: Any) -> bytes:
    return json.dumps({"metadata": META} | parts).encode()


def test_a_sink_without_status_is_read() -> None:
    found = read_sink(raw(spec=REDIS))
    assert found.spec is not None
    assert found.spec.destination == "redis"
    assert found.status == SinkStatus()
    assert not found.deleting
    assert read_sink(raw(spec=REDIS, metadata=META | {"deletionTimestamp": "x"})).deleting


def test_a_spec_of_another_version_is_told() -> None:
    found = read_sink(raw(spec={"feedRef": 7}))
    assert found.spec is None
    assert "feedRef" in found.invalid


def test_a_status_that_cannot_be_read_counts_as_empty() -> None:
    assert read_sink(raw(spec=REDIS, status={"rows": "many"})).status == SinkStatus()


def test_a_feed_gives_its_kafka_and_its_ca() -> None:
    spec = {"roots": [{"symbol": "CL"}], "accounts": {"secretRef": {"name": "a"}}, "kafka": KAFKA}
    found = read_sink_feed(raw(spec=spec | {"extraCA": {"name": "ca"}}))
    assert isinstance(found, SinkFeed)
    assert found.kafka.bootstrap_servers == "kafka:9093"
    assert found.extra_ca is not None
    assert isinstance(read_sink_feed(raw(spec={})), InvalidFeed)


def test_a_deployment_tells_why_its_pods_are_refused() -> None:
    meta = META | LABELS
    refusal = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    assert read_workload(raw(metadata=meta, status={"conditions": [refusal]})).refused == "exceeded quota"
    assert read_workload(raw(metadata=meta, status={"conditions": [refusal | {"status": "False"}]})).refused == ""
    assert read_workload(raw(metadata=meta)).sink == "latest"


def container(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "sink", "state": state}]}


UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}


@pytest.mark.parametrize(
    ("status", "running", "waiting"),
    [
        (container(running={"startedAt": "2026-11-27T12:00:00Z"}), True, ""),
        (container(waiting={"reason": "ContainerCreating"}), False, ""),
        (container(waiting={"reason": "CrashLoopBackOff", "message": "back-off"}), False, "CrashLoopBackOff: back-off"),
        (container(waiting={"reason": "ErrImagePull"}), False, "ErrImagePull"),
        ({"conditions": [UNSCHEDULED]}, False, "Unschedulable: 0/1 nodes"),
        ({}, False, ""),
    ],
)
def test_a_pod_runs_or_tells_why_not(status: dict[str, Any], running: bool, waiting: str) -> None:
    found = read_sink_pod(raw(metadata=META | LABELS, status=status))
    assert (found.sink, found.running, found.waiting) == ("latest", running, waiting)
