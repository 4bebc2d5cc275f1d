"""An event wakes a feed if, and only if, a cycle could decide otherwise after it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ibfeed_operator.controller import predicates
from ibfeed_operator.model.decode import read_lease, read_pod, read_shard

SHARD = {
    "metadata": {"name": "f-0", "uid": "u", "generation": 1, "resourceVersion": "1"},
    "spec": {"feed": "f", "worker": 0},
    "status": {
        "session": "Streaming",
        "lastTickTime": "2026-11-21T12:00:00Z",
        "contracts": [{"conid": 1, "epoch": 1, "state": "publishing", "lastTickTime": "2026-11-21T12:00:00Z"}],
    },
}
LEASE = {"metadata": {"name": "ib-account-s-1", "uid": "u"}, "spec": {"holderIdentity": "a", "renewTime": "1"}}


def changed(body: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    result = copy.deepcopy(body)
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return result


def of_shard(body: dict[str, Any]) -> object:
    shard = read_shard(json.dumps(body).encode())
    assert shard is not None
    return predicates.of_shard(shard)


def of_lease(body: dict[str, Any]) -> object:
    return predicates.of_lease(read_lease(json.dumps(body).encode()))


@pytest.mark.parametrize("path", [("status", "lastTickTime"), ("status", "contracts", 0, "lastTickTime")])
def test_ticks_wake_nobody(path: tuple[Any, ...]) -> None:
    assert of_shard(changed(SHARD, *path, to="later")) == of_shard(SHARD)


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("spec", "contracts"), [{"conid": 1, "symbol": "A", "root": "A", "slot": 0, "epoch": 1, "state": "Active"}]),
        (("metadata", "annotations"), {"ibfeed.dev/drain": "true"}),
        (("status", "session"), "Reconnecting"),
        (("status", "startedAt"), "now"),
        (("status", "contracts", 0, "state"), "released"),
        (("status", "contracts", 0, "epoch"), 2),
        (("status", "contracts", 0, "kafkaEpoch"), 2),
        (("status", "reference"), "no right"),
    ],
)
def test_what_a_worker_reports_does(path: tuple[Any, ...], to: Any) -> None:
    assert of_shard(changed(SHARD, *path, to=to)) != of_shard(SHARD)


def test_pins_do_and_other_annotations_do_not() -> None:
    feed = {"metadata": {"uid": "u", "generation": 1}}
    noted = changed(feed, "metadata", "annotations", to={"somebody/else": "x"})
    assert predicates.of_feed(noted) == predicates.of_feed(feed)
    assert predicates.of_feed(
        changed(feed, "metadata", "annotations", to={"ibfeed.dev/pin": "CLZ6=1"})
    ) != predicates.of_feed(feed)


def test_renewals_wake_nobody_but_holders_and_failures_do() -> None:
    assert of_lease(changed(LEASE, "spec", "renewTime", to="2")) == of_lease(LEASE)
    assert of_lease(changed(LEASE, "spec", "holderIdentity", to="")) != of_lease(LEASE)
    failed = {"ibfeed.dev/failed-logins": "1"}
    assert of_lease(changed(LEASE, "metadata", "annotations", to=failed)) != of_lease(LEASE)


def test_a_dying_container_does() -> None:
    running = {"name": "worker", "restartCount": 0, "state": {"running": {"startedAt": "2026-11-21T12:00:00Z"}}}
    pod = {"metadata": {"name": "f-0", "uid": "u"}, "status": {"phase": "Running", "containerStatuses": [running]}}
    dead = changed(pod, "status", "containerStatuses", 0, "state", to={"terminated": {"exitCode": 137}})
    assert of_pod(dead) != of_pod(pod)
    probed = changed(pod, "status", "conditions", to=[{"type": "Ready", "lastProbeTime": "x"}])
    assert of_pod(probed) == of_pod(pod)


def of_pod(body: dict[str, Any]) -> object:
    return read_pod(json.dumps(body).encode())
