from __future__ import annotations

import json
from typing import Any

import pytest

from ibfeed_operator.model.types import Health, WorkerHealth
from ibfeed_operator.planning.replacement import DEAD_S, DIED_S, STUCK_S, Rollout, is_outdated, patience_s, read_rollout
from support.build import pod

NOW = Rollout(revision="b", settled=True)
STARTING = WorkerHealth(state=Health.STARTING)
LOST = WorkerHealth(state=Health.LOST)
PULLING = {"container_running": False, "ready": False, "waiting_reason": "ImagePullBackOff"}


@pytest.mark.parametrize(
    ("facts", "health", "patience"),
    [
        (PULLING, STARTING, DEAD_S),
        (PULLING | {"waiting_reason": "CreateContainerConfigError"}, STARTING, DEAD_S),
        (PULLING | {"waiting_reason": "Unschedulable"}, STARTING, DEAD_S),
        (PULLING | {"waiting_reason": "CrashLoopBackOff", "died_of": "exit code 2"}, STARTING, DEAD_S),
        (PULLING | {"waiting_reason": "", "died_of": "exit code 2"}, STARTING, DEAD_S),  # before it is restarted
        (PULLING | {"waiting_reason": "CrashLoopBackOff", "never_ready": False}, LOST, DIED_S),
        (PULLING | {"waiting_reason": "ContainerCreating"}, STARTING, STUCK_S),
        ({"ready": False}, STARTING, STUCK_S),
        ({"ready": False}, LOST, STUCK_S),
    ],
)
def test_pod_that_cannot_stream_is_broken_after_a_while(
    facts: dict[str, Any], health: WorkerHealth, patience: float
) -> None:
    assert patience_s(pod(0, **({"never_ready": True} | facts)), health) == patience


@pytest.mark.parametrize("state", [Health.STREAMING, Health.LEAVING, Health.RETURNING])
def test_worker_that_streams_is_never_broken(state: Health) -> None:
    assert patience_s(pod(0, ready=False, never_ready=True), WorkerHealth(state=state)) is None


@pytest.mark.parametrize(
    "facts",
    [
        {"ready": True},
        {"ready": False, "never_ready": False},  # it has lost its session, and repairs it
        {"ready": False, "never_ready": True, "deleting": True},
        PULLING | {"waiting_reason": "ContainerCreating", "never_ready": False},
    ],
)
def test_pod_that_may_come_back_is_not_broken(facts: dict[str, Any]) -> None:
    assert patience_s(pod(0, **facts), LOST) is None


@pytest.mark.parametrize(
    ("revision", "rollout", "outdated"),
    [
        ("a", NOW, True),
        ("b", NOW, False),
        ("", NOW, False),
        ("a", Rollout(revision="", settled=True), False),
        ("a", Rollout(revision="b", settled=False), False),  # the controller has not seen the latest template
    ],
)
def test_pod_is_outdated_by_the_settled_revision_only(revision: str, rollout: Rollout, outdated: bool) -> None:
    assert is_outdated(pod(0, revision=revision), rollout) is outdated


def test_rollout_of_a_statefulset() -> None:
    status = {"observedGeneration": 4, "updateRevision": "energy-b", "currentRevision": "energy-a"}
    raw = json.dumps({"metadata": {"name": "energy", "generation": 4}, "status": status}).encode()
    assert read_rollout(raw) == Rollout(revision="energy-b", settled=True)
    raw = json.dumps({"metadata": {"name": "energy", "generation": 5}, "status": status}).encode()
    assert read_rollout(raw) == Rollout(revision="energy-b", settled=False)
    raw = json.dumps({"metadata": {"name": "energy", "generation": 1}}).encode()
    assert not read_rollout(raw).settled
