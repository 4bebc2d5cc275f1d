from __future__ import annotations

import json
from typing import Any

import pytest

from ibfeed_api.shard import Session
from ibfeed_operator.model.decode import InvalidFeed, read_feed, read_lease, read_pod, read_shard
from ibfeed_operator.model.types import Feed


def as_json(**item: Any) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "X", **item}).encode()


def container(**more: Any) -> dict[str, Any]:
    return {"name": "worker", "ready": True, "restartCount": 2, "image": "ibfeed/worker", **more}


class TestPod:
    def test_running(self) -> None:
        state = {"running": {"startedAt": "2026-11-21T12:00:00Z"}}
        sidecar = {"name": "other", "state": {"waiting": {"reason": "Nope"}}}
        found = read_pod(
            as_json(
                metadata={"name": "my-feed-12", "uid": "u"},
                spec={"nodeName": "n1"},
                status={
                    "phase": "Running",
                    "podIP": "10.1.1.1",
                    "containerStatuses": [sidecar, container(state=state)],
                },
            )
        )
        assert found is not None
        assert (found.worker, found.container_running, found.restart_count) == (12, True, 2)
        assert (found.ip, found.node, found.waiting_reason, found.deleting) == ("10.1.1.1", "n1", "", False)
        assert found.container_started_at is not None
        assert found.container_started_at.isoformat() == "2026-11-21T12:00:00+00:00"

    def test_terminated_waiting_and_pending(self) -> None:
        for state in ({"terminated": {"exitCode": 1}}, {"waiting": {"reason": "CrashLoopBackOff"}}, {}):
            status = {"phase": "Running", "containerStatuses": [container(state=state)]}
            found = read_pod(as_json(metadata={"name": "f-0"}, status=status))
            assert found is not None
            assert not found.container_running
        pending = read_pod(as_json(metadata={"name": "f-0"}, status={"phase": "Pending"}))
        assert pending is not None
        assert not pending.container_running

    @pytest.mark.parametrize(
        ("states", "died_of"),
        [
            ({"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}, "OOMKilled"),
            (
                {
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}},
                },
                "exit code 2",
            ),
            ({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, ""),
            ({"state": {"running": {"startedAt": "2026-11-21T12:00:00Z"}}}, ""),
        ],
    )
    def test_what_its_container_died_of(self, states: dict[str, Any], died_of: str) -> None:
        status = {"phase": "Running", "containerStatuses": [container(**states)]}
        found = read_pod(as_json(metadata={"name": "f-0"}, status=status))
        assert found is not None
        assert found.died_of == died_of

    def test_says_why_it_is_not_scheduled(self) -> None:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no memory"}
        found = read_pod(as_json(metadata={"name": "f-0"}, status={"phase": "Pending", "conditions": [condition]}))
        assert found is not None
        assert (found.waiting_reason, found.waiting_message) == ("Unschedulable", "no memory")

    def test_says_which_init_container_keeps_it_waiting(self) -> None:
        waiting = {"waiting": {"reason": "PodInitializing"}}
        failing = {"waiting": {"reason": "ImagePullBackOff", "message": "no proxy image"}}
        status = {
            "phase": "Pending",
            "containerStatuses": [container(state=waiting)],
            "initContainerStatuses": [{"name": "mesh", "state": failing}],
        }
        found = read_pod(as_json(metadata={"name": "f-0"}, status=status))
        assert found is not None
        assert (found.waiting_reason, found.waiting_message) == ("ImagePullBackOff", "no proxy image")

    @pytest.mark.parametrize(
        ("ready", "changed", "never"),
        [("False", "00", True), ("False", "01", True), ("True", "40", False), ("False", "40", False)],
    )
    def test_whether_it_was_ever_ready(self, ready: str, changed: str, never: bool) -> None:
        condition = {"type": "Ready", "status": ready, "lastTransitionTime": f"2026-11-21T12:00:{changed}Z"}
        status = {"phase": "Running", "startTime": "2026-11-21T12:00:00Z", "conditions": [condition]}
        meta = {"name": "f-0", "labels": {"controller-revision-hash": "f-7"}}
        found = read_pod(as_json(metadata=meta, status=status))
        assert found is not None
        assert (found.never_ready, found.revision) == (never, "f-7")

    def test_one_that_no_kubelet_has_seen_was_never_ready(self) -> None:
        found = read_pod(as_json(metadata={"name": "f-0"}, status={"phase": "Pending"}))
        assert found is not None
        assert found.never_ready

    def test_some_other_pod_of_that_label(self) -> None:
        assert read_pod(as_json(metadata={"name": "debugger"})) is None


class TestShard:
    def test_status_of_another_version_counts_as_none(self) -> None:
        spec = {"feed": "f", "worker": 0, "contracts": []}
        found = read_shard(as_json(metadata={"name": "f-0"}, spec=spec, status={"session": "Dancing"}))
        assert found is not None
        assert found.status is None

    def test_known_status(self) -> None:
        spec = {"feed": "f", "worker": 0}
        found = read_shard(as_json(metadata={"name": "f-0"}, spec=spec, status={"session": "Streaming"}))
        assert found is not None
        assert found.status is not None
        assert found.status.session is Session.STREAMING

    def test_spec_of_another_version_is_left_alone(self) -> None:
        assert read_shard(as_json(metadata={"name": "f-0"}, spec={"feed": 7})) is None


SPEC = {"roots": [{"symbol": "CL"}], "accounts": {"secretRef": {"name": "s"}}, "kafka": {"bootstrapServers": "k:1"}}


class TestFeed:
    def test_without_status(self) -> None:
        found = read_feed(as_json(metadata={"name": "f", "namespace": "n", "uid": "u", "generation": 3}, spec=SPEC))
        assert isinstance(found, Feed)
        assert (found.generation, found.deleting, found.status.conditions) == (3, False, ())

    def test_that_cannot_be_read_says_why(self) -> None:
        found = read_feed(as_json(metadata={"name": "f", "namespace": "n"}, spec=SPEC | {"workers": "many"}))
        assert isinstance(found, InvalidFeed)
        assert "workers" in found.message


def test_lease() -> None:
    annotations = {
        "ibfeed.dev/failed-logins": "2",
        "ibfeed.dev/parked": "WrongCredentials",
        "ibfeed.dev/next-login": "2026-11-21T12:00:00Z",
    }
    labels = {"ibfeed.dev/account-source": "kv-my-vault"}
    meta = {"name": "ib-account-kv-my-vault-7", "namespace": "n", "labels": labels, "annotations": annotations}
    raw = as_json(metadata={**meta, "resourceVersion": "5"}, spec={"holderIdentity": "f-0_u"})
    found = read_lease(raw)
    assert (found.source, found.index, found.holder, found.failed) == ("kv-my-vault", 7, "f-0_u", 2)
    assert found.parked == "WrongCredentials"
    assert found.next_login is not None
