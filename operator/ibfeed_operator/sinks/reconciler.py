"""One sink, brought to what its spec says, and the truth about it told. Level-triggered; safe to kill anywhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from ibfeed_api.events import EventReason
from ibfeed_api.kinds import API_VERSION, FEED_PLURAL, SINK_KIND, SINK_PLURAL
from ibfeed_api.labels import LABEL_SINK
from ibfeed_api.sink import SinkCondition, SinkReason, SinkSpec
from ibfeed_operator import metrics
from ibfeed_operator.kube.client import KubeClient, collection
from ibfeed_operator.kube.errors import ConflictError, KubeError, NotFoundError
from ibfeed_operator.kube.events import EventRecorder
from ibfeed_operator.kube.informer import Informer
from ibfeed_operator.model.decode import InvalidFeed
from ibfeed_operator.sinks.apply import Applier
from ibfeed_operator.sinks.lag import LagWatch
from ibfeed_operator.sinks.model import (
    Sink,
    SinkFeed,
    SinkStatus,
    Workload,
    read_sink,
    read_sink_feed,
    read_sink_pod,
    read_workload,
)
from ibfeed_operator.sinks.reports import ReportAges
from ibfeed_operator.sinks.resources import sink_children
from ibfeed_operator.sinks.status import SinkInput, sink_lag, status_of_invalid_sink, status_of_sink, status_patch
from ibfeed_operator.status.conditions import TRUE

LOOK_S: Final = 5.0
IDLE_S: Final = 60.0  # until the next look at a sink that only a change of its own, or of its feed, can help
TROUBLE_S: Final = 10.0  # the status does not tell of shorter failures
FEED_S: Final = 30.0  # a feed is read again this often, and when its spec changes
_FRESH_S: Final = 10.0  # a silence of the watch that long makes a cycle list


class SinkInformers:
    """The informers of sinks, their Deployments and their pods, in ``namespace`` or (empty) everywhere."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        where = namespace or None
        deployments, pods = collection("apps/v1", "deployments", where), collection("v1", "pods", where)
        self.sinks: Final = Informer(kube, collection(API_VERSION, SINK_PLURAL, where), read_sink, fresh_s=_FRESH_S)
        self.workloads: Final = Informer(kube, deployments, read_workload, labels=LABEL_SINK, fresh_s=_FRESH_S)
        self.pods: Final = Informer(kube, pods, read_sink_pod, labels=LABEL_SINK, fresh_s=_FRESH_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkDependencies:
    """The dependencies that all sinks of one operator process share. ``image``: of the pods; may be empty."""

    kube: KubeClient
    informers: SinkInformers
    image: str


class SinkReconciler:
    """Brings one sink to its spec, cycle by cycle; one cycle at a time."""

    def __init__(self, dependencies: SinkDependencies, namespace: str, name: str) -> None:
        self._dependencies: Final = dependencies
        self._namespace, self._name = namespace, name
        self._applier: Final = Applier(dependencies.kube)
        self._recorder: Final = EventRecorder(dependencies.kube, SINK_KIND)
        self._ages = ReportAges()
        self._lags = LagWatch()
        self._feed: tuple[str, float, SinkFeed | tuple[SinkReason, str]] | None = None
        self._failing_since: float | None = None
        self._told: tuple[str, str] | None = None  # truth and reason of Ready, as events tell them

    def forget_feed(self) -> None:
        """Read the feed again in the next cycle: its spec has changed, or it is gone."""
        self._feed = None

    async def cycle(self) -> float | None:
        """One cycle. Returns the seconds until the next one at the latest; None: there is no such sink (any more).

        Raises ConflictError or NotFoundError if somebody wrote or deleted meanwhile (look again), any other KubeError
        if the API server refused; of the latter the status tells once it lasts.
        """
        informers = self._dependencies.informers
        for informer in (informers.sinks, informers.workloads, informers.pods):
            await informer.fresh()
        sink = informers.sinks.value((self._namespace, self._name))
        if sink is None:
            return None
        if sink.deleting:
            return IDLE_S  # the garbage collector's work
        if sink.spec is None:
            await self._write(sink, status_of_invalid_sink(sink, now=datetime.now(UTC)))
            return IDLE_S
        feed = await self._read_feed(sink.spec.feed_ref.name)
        try:
            await self._apply(sink, sink.spec, feed)
        except (ConflictError, NotFoundError):
            raise
        except KubeError as error:
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            if now - self._failing_since >= TROUBLE_S:
                await self._tell(sink, sink.spec, feed, trouble=str(error))
            raise
        self._failing_since = None
        await self._tell(sink, sink.spec, feed)
        return LOOK_S if isinstance(feed, SinkFeed) else IDLE_S

    async def _apply(self, sink: Sink, spec: SinkSpec, feed: SinkFeed | tuple[SinkReason, str]) -> None:
        if not isinstance(feed, SinkFeed):
            return
        if not (spec.pod.image or self._dependencies.image):
            raise KubeError("the operator knows no image for sinks: set IBFEED_SINK_IMAGE on it, or spec.pod.image")
        if self._workload() is None:
            self._applier.forget()
        await self._applier.apply(sink, sink_children(sink, spec, feed, image=self._dependencies.image))

    async def _read_feed(self, name: str) -> SinkFeed | tuple[SinkReason, str]:
        """Return the feed, or why it cannot be used."""
        now = time.monotonic()
        if self._feed is None or self._feed[0] != name or now - self._feed[1] >= FEED_S:
            self._feed = (name, now, await self._ask_for_feed(name))
        return self._feed[2]

    async def _ask_for_feed(self, name: str) -> SinkFeed | tuple[SinkReason, str]:
        path = f"{collection(API_VERSION, FEED_PLURAL, self._namespace)}/{name}"
        try:
            found = read_sink_feed(await self._dependencies.kube.get(path))
        except NotFoundError:
            text = f"there is no IbFeed {name} in namespace {self._namespace}: create it, or correct spec.feedRef.name"
            return SinkReason.FEED_NOT_FOUND, text
        if isinstance(found, InvalidFeed):
            text = f"the spec of IbFeed {name} cannot be read: {found.message}; see its condition Ready"
            return SinkReason.FEED_UNREADABLE, text
        return found

    async def _tell(
        self, sink: Sink, spec: SinkSpec, feed: SinkFeed | tuple[SinkReason, str], *, trouble: str = ""
    ) -> None:
        informers, now, clock = self._dependencies.informers, time.monotonic(), datetime.now(UTC)
        self._ages = self._ages.observe(sink.status.pods, now=now, clock=clock)
        pods = (pod for _, pod in informers.pods.values(self._namespace) if pod.sink == sink.name)
        seen = SinkInput(
            sink=sink,
            spec=spec,
            feed_problem=None if isinstance(feed, SinkFeed) else feed,
            workload=self._workload(),
            pods=tuple(sorted(pods, key=lambda pod: pod.name)),
            ages=self._ages.at(now),
            trouble=trouble,
        )
        self._lags = self._lags.observe(now, sink_lag(seen))
        await self._write(sink, status_of_sink(replace(seen, lags=self._lags), now=clock))

    def _workload(self) -> Workload | None:
        every = self._dependencies.informers.workloads.values(self._namespace)
        return next((found for _, found in every if found.sink == self._name), None)

    async def _write(self, sink: Sink, status: SinkStatus) -> None:
        """Write the status if it says anything new. Raises ConflictError if anybody wrote since the sink was seen."""
        dependencies = self._dependencies
        if status != sink.status:
            body = {
                "metadata": {"resourceVersion": sink.resource_version},
                "status": status_patch(sink.status, status),
            }
            path = f"{collection(API_VERSION, SINK_PLURAL, self._namespace)}/{self._name}/status"
            with dependencies.informers.sinks.writing():
                raw = await dependencies.kube.patch(path, body)
            dependencies.informers.sinks.wrote(raw, read_sink(raw))
        ready = status.condition(SinkCondition.READY)
        if ready is None:
            return
        is_ready = ready.status == TRUE
        if ready.reason == SinkReason.SUSPENDED:  # which is nothing to be warned of
            metrics.forget_sink(self._namespace, self._name)
        else:
            metrics.SINK_READY.labels(self._namespace, self._name).set(is_ready)
        told, self._told = self._told, (ready.status, ready.reason)
        if told is not None and told != self._told:
            await self._recorder.post(
                sink, "Normal" if is_ready else "Warning", EventReason(ready.reason), self._name, ready.message
            )
