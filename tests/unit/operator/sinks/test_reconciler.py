"""One sink's cycles against an API server in memory, and many sinks of which one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from ibfeed_api.backoff import Backoff
from ibfeed_api.sink import PodReport, SinkState
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import ConflictError, KubeError
from ibfeed_operator.sinks import manager as manager_module
from ibfeed_operator.sinks import reconciler as reconciler_module
from ibfeed_operator.sinks.manager import SinkManager, reconcile_inputs
from ibfeed_operator.sinks.model import SinkStatus
from ibfeed_operator.sinks.reconciler import IDLE_S, LOOK_S, SinkDependencies, SinkInformers, SinkReconciler
from ibfeed_operator.sinks.resources import sink_children
from support.ibsinks import KAFKA, REDIS, report, sink
from support.sink_api import DEPLOYMENTS, FEEDS, PODS, SINKS, SinkApi, sink_api

FEED = {"roots": [{"symbol": "CL"}], "accounts": {"secretRef": {"name": "a"}}, "kafka": KAFKA}
POD = "latest-sink-a"
LABELS = {"labels": {"ibfeed.dev/sink": "latest"}}
RUNNING = {"containerStatuses": [{"name": "sink", "state": {"running": {"startedAt": "2026-11-27T12:00:00Z"}}}]}


@dataclass
class Scene:
    api: SinkApi
    kube: KubeClient
    dependencies: SinkDependencies
    sink: SinkReconciler

    async def cycle(self) -> float | None:
        """One cycle with all that the API server has by now."""
        informers = self.dependencies.informers
        for informer in (informers.sinks, informers.workloads, informers.pods):
            informer.mark_stale()
        return await self.sink.cycle()

    def runs(self, **told: Any) -> None:
        """A pod runs, and its process has told how far it came."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.api.put(PODS, POD, metadata=LABELS, status=RUNNING)
        self.tells(report(reported_at=now, **told))

    def tells(self, told: PodReport) -> None:
        item = self.api.objects[f"{SINKS}/latest"]
        plain = msgspec.json.decode(msgspec.json.encode(told))
        pods = {POD: {name: value for name, value in plain.items() if value is not None}}
        status = item.get("status", {}) | {"pods": pods}
        self.api.put(SINKS, "latest", metadata=item["metadata"], spec=item["spec"], status=status)

    def applied(self) -> list[str]:
        return [body["kind"] for kind, _, body in self.api.writes if kind == "apply-patch+yaml"]


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    async with sink_api() as (api, kube):
        api.put(FEEDS, "energy", spec=FEED)
        api.put(SINKS, "latest", spec=REDIS)
        dependencies = SinkDependencies(kube=kube, informers=SinkInformers(kube, "markets"), image="ibfeed/platform")
        yield Scene(api, kube, dependencies, SinkReconciler(dependencies, "markets", "latest"))


async def test_a_new_sink_gets_its_objects_and_a_status(scene: Scene) -> None:
    assert await scene.cycle() == LOOK_S
    assert scene.applied() == ["ServiceAccount", "Role", "RoleBinding", "NetworkPolicy", "Deployment"]
    assert scene.api.ready("latest")[:2] == ("False", "Progressing")
    assert scene.api.status("latest")["consumerGroup"] == "ibfeed-sink-markets-latest"


async def test_what_is_as_it_should_be_is_not_written_again(scene: Scene) -> None:
    await scene.cycle()
    scene.runs()
    await scene.cycle()
    assert scene.api.ready("latest")[0] == "True"
    before = len(scene.api.writes)
    await scene.cycle()
    assert len(scene.api.writes) == before


async def test_a_deployment_that_somebody_deletes_comes_back_at_once(scene: Scene) -> None:
    await scene.cycle()
    scene.api.remove(DEPLOYMENTS, "latest-sink")
    await scene.cycle()
    assert f"{DEPLOYMENTS}/latest-sink" in scene.api.objects


async def test_a_change_of_ready_is_told_as_an_event(scene: Scene) -> None:
    await scene.cycle()
    scene.runs()
    await scene.cycle()
    scene.runs(state=SinkState.RETRYING, error="Redis is away")
    await scene.cycle()
    assert scene.api.events() == [("Normal", "Writing"), ("Warning", "DestinationFailing")]
    assert scene.api.status("latest")["lastError"] == f"{POD}: Redis is away"


async def test_a_pod_that_tells_nothing_more_makes_it_unknown(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.cycle()
    scene.runs()
    await scene.cycle()
    monkeypatch.setattr("ibfeed_operator.sinks.status.STALE_S", -1.0)
    await scene.cycle()
    assert scene.api.ready("latest")[:2] == ("Unknown", "ReportStale")


async def test_a_missing_feed_is_told_and_not_asked_for_again(scene: Scene) -> None:
    scene.api.remove(FEEDS, "energy")
    assert await scene.cycle() == IDLE_S
    truth, reason, message = scene.api.ready("latest")
    assert (truth, reason) == ("False", "FeedNotFound")
    assert "create it, or correct spec.feedRef.name" in message
    assert scene.applied() == []
    await scene.cycle()
    assert scene.api.reads.count(f"{FEEDS}/energy") == 1


async def test_a_feed_that_comes_starts_the_sink(scene: Scene) -> None:
    scene.api.remove(FEEDS, "energy")
    await scene.cycle()
    scene.api.put(FEEDS, "energy", spec=FEED)
    scene.sink.forget_feed()
    await scene.cycle()
    assert scene.applied()[-1] == "Deployment"


async def test_a_feed_that_goes_leaves_the_pods_as_they_are(scene: Scene) -> None:
    await scene.cycle()
    scene.api.remove(FEEDS, "energy")
    scene.sink.forget_feed()
    scene.api.writes.clear()
    await scene.cycle()
    assert scene.applied() == []
    assert scene.api.ready("latest")[1] == "FeedNotFound"


async def test_a_feed_of_another_version_is_told(scene: Scene) -> None:
    scene.api.put(FEEDS, "energy", spec={"kafka": 7})
    await scene.cycle()
    assert scene.api.ready("latest")[1] == "FeedUnreadable"


async def test_a_feed_in_avro_is_one_like_any_other(scene: Scene) -> None:
    kafka = KAFKA | {"format": "Avro", "schemaRegistry": {"url": "http://registry:8081"}}
    scene.api.put(FEEDS, "energy", spec=FEED | {"kafka": kafka})
    await scene.cycle()
    assert scene.applied()[-1] == "Deployment"


async def test_a_spec_of_another_version_is_told(scene: Scene) -> None:
    scene.api.put(SINKS, "latest", spec={"feedRef": 7})
    assert await scene.cycle() == IDLE_S
    assert scene.api.ready("latest")[:2] == ("False", "InvalidSpec")


async def test_an_object_of_somebody_else_is_left_alone_and_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.api.put(DEPLOYMENTS, "latest-sink", metadata={"labels": {"app": "theirs"}})
    monkeypatch.setattr(reconciler_module, "TROUBLE_S", 0.0)
    with pytest.raises(KubeError, match="Deployment latest-sink is there already and not of this sink"):
        await scene.cycle()
    assert "Deployment" not in scene.applied()
    truth, reason, message = scene.api.ready("latest")
    assert (truth, reason) == ("False", "ReconcileFailed")
    assert "give the IbSink another name" in message


@pytest.mark.parametrize(
    ("owners", "says"),
    [
        ([{"kind": "IbSink", "name": "latest", "uid": "former"}], "being deleted with an earlier IbSink"),
        ([{"kind": "IbSink", "name": "other", "uid": "x"}], "not of this sink"),
    ],
)
async def test_an_object_of_another_owner_is_not_applied(scene: Scene, owners: list[Any], says: str) -> None:
    labels = {"ibfeed.dev/sink": "latest", "app.kubernetes.io/managed-by": "ibfeed-operator"}
    scene.api.put(DEPLOYMENTS, "latest-sink", metadata={"labels": labels, "ownerReferences": owners})
    with pytest.raises(KubeError, match=says):
        await scene.cycle()


async def test_an_object_without_owner_is_taken_back(scene: Scene) -> None:
    """`kubectl delete --cascade=orphan` leaves it so."""
    labels = {"ibfeed.dev/sink": "latest", "app.kubernetes.io/managed-by": "ibfeed-operator"}
    scene.api.put(DEPLOYMENTS, "latest-sink", metadata={"labels": labels})
    await scene.cycle()
    (owner,) = scene.api.objects[f"{DEPLOYMENTS}/latest-sink"]["metadata"]["ownerReferences"]
    assert owner["uid"] == "u-latest"


async def test_without_an_image_the_operator_says_what_to_set(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler_module, "TROUBLE_S", 0.0)
    dependencies = SinkDependencies(kube=scene.kube, informers=scene.dependencies.informers, image="")
    with pytest.raises(KubeError):
        await SinkReconciler(dependencies, "markets", "latest").cycle()
    assert "set IBFEED_SINK_IMAGE on it, or spec.pod.image" in scene.api.ready("latest")[2]


async def test_a_report_that_comes_meanwhile_is_not_lost(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write names the version that it rests on, so it is refused, and the next look has the report."""

    def children(*given: Any, **more: Any) -> Any:
        scene.runs()
        return sink_children(*given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(reconciler_module, "sink_children", children)
        with pytest.raises(ConflictError):
            await scene.cycle()
    await scene.cycle()
    assert scene.api.ready("latest")[0] == "True"
    assert POD in scene.api.status("latest")["pods"]


async def test_a_deleted_sink_ends_its_task(scene: Scene) -> None:
    await scene.cycle()
    item = scene.api.objects[f"{SINKS}/latest"]
    scene.api.put(
        SINKS, "latest", spec=REDIS, metadata=item["metadata"] | {"deletionTimestamp": "2026-11-27T12:00:00Z"}
    )
    assert await scene.cycle() == IDLE_S
    scene.api.remove(SINKS, "latest")
    assert await scene.cycle() is None


async def until(holds: Any, within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - another's state
            await asyncio.sleep(0.02)


def _ready_metric(sink: str) -> float | None:
    return REGISTRY.get_sample_value("ibfeed_operator_sink_ready", {"namespace": "markets", "sink": sink})


async def test_a_suspended_sink_raises_no_alert(scene: Scene) -> None:
    await scene.cycle()
    assert _ready_metric("latest") == 0
    scene.api.put(SINKS, "latest", spec=REDIS | {"suspend": True})
    await scene.cycle()
    assert scene.api.ready("latest")[1] == "Suspended"
    assert _ready_metric("latest") is None


def test_only_what_changes_a_verdict_makes_a_cycle_at_once() -> None:
    def inputs(**told: Any) -> object:
        return reconcile_inputs(sink(status=SinkStatus(pods={POD: report(**told)})))

    assert inputs(rows=1, lag=5, reported_at="2026-11-27T12:00:00.000Z") == inputs(rows=2, lag=6)
    assert inputs() != inputs(state=SinkState.RETRYING)
    assert inputs() != inputs(error="it fails")


async def test_a_sink_that_fails_holds_up_no_other(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.api.put(SINKS, "broken", spec=REDIS)

    def children(sink: Any, *given: Any, **more: Any) -> Any:
        if sink.name == "broken":
            raise ZeroDivisionError("a defect that only this sink's data bring out")
        return sink_children(sink, *given, **more)

    monkeypatch.setattr(reconciler_module, "sink_children", children)
    monkeypatch.setattr(manager_module, "LOOK_S", 0.1)
    manager = SinkManager(scene.dependencies)
    running = asyncio.create_task(manager.run())
    try:
        await until(lambda: scene.api.status("latest"))
        assert scene.api.status("broken") == {}
        scene.api.put(FEEDS, "energy", spec=FEED | {"kafka": KAFKA | {"bootstrapServers": "other:9092"}})
        manager.touch_feed("markets", "energy")

        def follows() -> bool:
            return "other:9092" in str(scene.api.objects[f"{DEPLOYMENTS}/latest-sink"])

        await until(follows)
        assert _ready_metric("latest") == 0
        scene.api.remove(SINKS, "latest")
        await until(lambda: _ready_metric("latest") is None)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_defect_of_the_manager_ends_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0

    async def broken(_: SinkManager) -> None:
        nonlocal runs
        runs += 1
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(SinkManager, "_run", broken)
    monkeypatch.setattr(manager_module, "Backoff", lambda *_: Backoff(0.01, 0.01))
    running = asyncio.create_task(SinkManager(scene.dependencies).run())
    await until(lambda: runs >= 2)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
