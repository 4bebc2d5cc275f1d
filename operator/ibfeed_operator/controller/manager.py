"""All feeds of this operator: one task each, so that no feed ever waits for another, plus a janitor for accounts.

Watch events only wake a task, which then looks for itself. Since events do get lost, each task also looks every two
seconds, and feeds are listed again every ten.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from ibfeed_api.backoff import Backoff
from ibfeed_api.log import Log
from ibfeed_operator import metrics
from ibfeed_operator.controller.dependencies import Dependencies
from ibfeed_operator.controller.lease_gc import collect_leases
from ibfeed_operator.controller.reconciler import Reconciler
from ibfeed_operator.controller.snapshot import feed_names
from ibfeed_operator.kube.errors import ConflictError, KubeError, NotFoundError

_log: Final = Log(__name__)

LOOK_S: Final = 2.0
SPACING_S: Final = 0.05  # a burst of events makes one cycle
DISCOVER_S: Final = 10.0
STUCK_S: Final = 120.0  # longer than any cycle whose every call runs into its time limit


class FeedTask:
    """The loop of one feed."""

    def __init__(self, dependencies: Dependencies, namespace: str, name: str) -> None:
        self._woken = asyncio.Event()
        self._where = (namespace, name)
        self._reconciler = Reconciler(dependencies, namespace, name, self.wake)
        self._after_conflict: Final = Backoff(0.05, 5.0)
        self._after_failure: Final = Backoff(0.2, 30.0)
        self._failed = False
        self.busy_since: float | None = None

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Until the feed is gone. A failure is this feed's alone, and is tried again after growing pauses."""
        metrics.show_feed(*self._where)
        try:
            while True:
                self._woken.clear()
                self.busy_since = started = time.monotonic()
                wait = await self._once()
                self.busy_since = None
                if wait is None:
                    return
                if self._failed:
                    await asyncio.sleep(wait)
                    continue
                try:
                    async with asyncio.timeout(wait):
                        await self._woken.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(max(0.0, started + SPACING_S - time.monotonic()))
        finally:
            await self._reconciler.close()
            metrics.forget(*self._where)

    async def _once(self) -> float | None:
        """One cycle; returns how long to wait, None when the feed is gone."""
        namespace, feed = self._where
        self._failed = True
        try:
            with metrics.RECONCILE_SECONDS.time():
                wait = await self._reconciler.cycle()
        except (ConflictError, NotFoundError) as error:  # somebody wrote to it, or deleted it, since it was seen
            _log.debug("another client wrote first, looking again", namespace=namespace, feed=feed, error=str(error))
            return self._after_conflict.next()
        except KubeError as error:
            metrics.RECONCILE_ERRORS.labels(*self._where).inc()
            _log.warning("the API server refuses a call of the cycle", namespace=namespace, feed=feed, error=str(error))
            return self._after_failure.next()
        except Exception as error:  # noqa: BLE001 - a defect that one feed's data brings out must not stop the others
            metrics.RECONCILE_ERRORS.labels(*self._where).inc()
            _log.error("the cycle failed", cause=error, namespace=namespace, feed=feed)
            return self._after_failure.next()
        self._failed = False
        metrics.RECONCILED.labels(*self._where).set(time.time())
        self._after_conflict.reset()
        self._after_failure.reset()
        return None if wait is None else min(wait, LOOK_S)


class Manager:
    """Starts, wakes and ends the tasks. Use ``run`` as one long task; cancel it to stop."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._feeds: dict[tuple[str, str], FeedTask] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._sweep = asyncio.Event()
        self._acting = False

    async def run(self) -> None:
        self._dependencies.informers.shards.mark_stale()  # another operator may have written a moment ago
        self._acting = True
        sweeper = asyncio.create_task(self._keep_sweeping())
        try:
            pause = Backoff(2 * DISCOVER_S, 60.0)
            while True:
                wait = DISCOVER_S
                try:
                    for namespace, name in await feed_names(
                        self._dependencies.kube, self._dependencies.settings.namespace
                    ):
                        self._start((namespace, name))
                    pause.reset()
                except KubeError as error:
                    wait = pause.next()
                    _log.warning("feeds could not be listed", error=str(error))
                await asyncio.sleep(wait)
        finally:
            self._acting = False
            running = [sweeper, *self._tasks.values()]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def touch(self, namespace: str, name: str) -> None:
        """Something of this feed has changed. Before ``run`` this means nothing: another operator acts."""
        if not self._acting:
            return
        key = (namespace, name)
        self._start(key)
        self._feeds[key].wake()

    def touch_namespace(self, namespace: str) -> None:
        """Something has changed that any feed of the namespace may care about: an account."""
        for key, feed in self._feeds.items():
            if key[0] == namespace:
                feed.wake()
        self._sweep.set()

    def stuck(self) -> str | None:
        """Name of a feed whose cycle does not end, if there is one."""
        now = time.monotonic()
        for (namespace, name), feed in self._feeds.items():
            if feed.busy_since is not None and now - feed.busy_since > STUCK_S:
                return f"{namespace}/{name}"
        return None

    def _start(self, key: tuple[str, str]) -> None:
        if key in self._tasks:
            return
        feed = FeedTask(self._dependencies, *key)
        task = asyncio.create_task(feed.run(), name="feed {}/{}".format(*key))
        self._feeds[key], self._tasks[key] = feed, task
        task.add_done_callback(lambda _: self._ended(key))

    def _ended(self, key: tuple[str, str]) -> None:
        del self._feeds[key], self._tasks[key]
        self._sweep.set()

    async def _keep_sweeping(self) -> None:
        while True:
            self._sweep.clear()
            try:
                wait = await collect_leases(self._dependencies)
            except KubeError as error:
                _log.warning("unused Leases of accounts could not be deleted", error=str(error))
                wait = 30.0
            await asyncio.sleep(1.0)
            try:
                async with asyncio.timeout(wait):
                    await self._sweep.wait()
            except TimeoutError:
                continue
