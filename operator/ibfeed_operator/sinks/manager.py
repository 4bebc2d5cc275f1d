"""All sinks of this operator: one task each. Nothing that goes wrong here reaches the feeds' tasks."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from ibfeed_api.backoff import Backoff
from ibfeed_api.log import Log
from ibfeed_operator import metrics
from ibfeed_operator.kube.errors import ConflictError, KubeError, NotFoundError
from ibfeed_operator.kube.store import Change, Key
from ibfeed_operator.sinks.model import Sink, SinkPodState, Workload
from ibfeed_operator.sinks.reconciler import LOOK_S, SinkDependencies, SinkReconciler

_log: Final = Log(__name__)

SPACING_S: Final = 0.5  # a burst of events makes one cycle


def reconcile_inputs(sink: Sink) -> object:
    """Return the parts of a sink whose change needs a look at once. Rows and lags wait for the regular look."""
    reports = {name: (report.state, report.error) for name, report in sink.status.pods.items()}
    return (sink.uid, sink.generation, sink.deleting, reports)


class SinkTask:
    """The loop of one sink."""

    def __init__(self, dependencies: SinkDependencies, key: Key) -> None:
        self._key: Final = key
        self._woken: Final = asyncio.Event()
        self._reconciler: Final = SinkReconciler(dependencies, *key)
        self._after_conflict: Final = Backoff(0.1, 5.0)
        self._after_failure: Final = Backoff(0.5, 60.0)

    def wake(self, *, feed: bool = False) -> None:
        """Look now. ``feed``: at the feed, too."""
        if feed:
            self._reconciler.forget_feed()
        self._woken.set()

    async def run(self) -> None:
        """Until the sink is gone. A failure is this sink's alone, and is tried again after growing pauses."""
        metrics.SINK_ERRORS.labels(*self._key)  # a counter that begins at 1 shows no increase
        try:
            while True:
                self._woken.clear()
                started = time.monotonic()
                wait, failed = await self._once()
                if wait is None:
                    return
                if failed:
                    await asyncio.sleep(wait)
                    continue
                try:
                    async with asyncio.timeout(wait):
                        await self._woken.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(max(0.0, started + SPACING_S - time.monotonic()))
        finally:
            metrics.forget_sink(*self._key)

    async def _once(self) -> tuple[float | None, bool]:
        """One cycle; return how long to wait (None: the sink is gone), and whether it failed."""
        where = {"namespace": self._key[0], "sink": self._key[1]}
        try:
            wait = await self._reconciler.cycle()
        except (ConflictError, NotFoundError) as error:  # a pod's report came first, or the sink was deleted
            _log.debug("another client wrote first, looking again", error=str(error), **where)
            return self._after_conflict.next(), True
        except KubeError as error:
            metrics.SINK_ERRORS.labels(*self._key).inc()
            _log.warning("a sink is not brought to its spec", error=str(error), **where)
            return self._after_failure.next(), True
        except Exception as error:  # noqa: BLE001 - a defect that one sink's data brings out must not stop the others
            metrics.SINK_ERRORS.labels(*self._key).inc()
            _log.error("a sink's cycle failed", cause=error, **where)
            return self._after_failure.next(), True
        self._after_conflict.reset()
        self._after_failure.reset()
        return wait, False


class SinkManager:
    """Starts, wakes and ends the tasks. Use ``run`` as one long task; cancel it to stop."""

    def __init__(self, dependencies: SinkDependencies) -> None:
        self._dependencies: Final = dependencies
        self._sinks: Final[dict[Key, SinkTask]] = {}
        self._tasks: Final[dict[Key, asyncio.Task[None]]] = {}
        informers = dependencies.informers
        informers.sinks.listen(self._sink_changed)
        informers.workloads.listen(self._part_changed)
        informers.pods.listen(self._part_changed)

    async def run(self) -> None:
        """For ever. A failure is tried again after growing pauses, and reaches no feed."""
        pause = Backoff(1.0, 60.0)
        while True:
            try:
                await self._run()
            except Exception as error:  # noqa: BLE001 - a defect in here must not end the operator of the feeds
                _log.error("the sinks are not looked after", cause=error)
            await asyncio.sleep(pause.next())

    def touch_feed(self, namespace: str, feed: str) -> None:
        """The spec of a feed has changed, or the feed is gone."""
        for key, sink in self._dependencies.informers.sinks.values(namespace):
            if sink.spec is not None and sink.spec.feed_ref.name == feed and key in self._sinks:
                self._sinks[key].wake(feed=True)

    async def _run(self) -> None:
        informers = self._dependencies.informers
        try:
            async with asyncio.TaskGroup() as group:
                for informer in (informers.sinks, informers.workloads, informers.pods):
                    group.create_task(informer.run())
                while True:
                    for key, _ in informers.sinks.values():
                        self._start(key)
                    await asyncio.sleep(LOOK_S)
        finally:
            running = list(self._tasks.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _sink_changed(self, change: Change[Sink]) -> None:
        before, after = change.before, change.after
        if before is not None and after is not None and reconcile_inputs(before) == reconcile_inputs(after):
            return
        self._start(change.key)
        self._sinks[change.key].wake()

    def _part_changed(self, change: Change[Workload] | Change[SinkPodState]) -> None:
        key = (change.key[0], change.either.sink)
        if key in self._sinks:
            self._sinks[key].wake()

    def _start(self, key: Key) -> None:
        if key in self._tasks:
            return
        sink = SinkTask(self._dependencies, key)
        task = asyncio.create_task(sink.run(), name="sink {}/{}".format(*key))
        self._sinks[key], self._tasks[key] = sink, task
        task.add_done_callback(lambda _: self._ended(key))

    def _ended(self, key: Key) -> None:
        del self._sinks[key], self._tasks[key]
