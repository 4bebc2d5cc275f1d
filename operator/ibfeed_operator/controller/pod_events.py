"""Looking up events of pods that are wanted and do not come. One per feed, in the background.

Events are many and no API server keeps a cache of them. So they are asked for only while a pod has been missing, or has
not started, for some seconds; by one feed after the other, and more rarely as time goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from ibfeed_api.log import Log
from ibfeed_operator.kube.client import KubeClient, collection
from ibfeed_operator.kube.errors import KubeError, NotFoundError
from ibfeed_operator.model.types import Feed, Pod
from ibfeed_operator.status.obstacles import Event, obstruction, read_event, refusal

_log: Final = Log(__name__)

PATIENCE_S: Final = 3.0  # a pod that is replaced is missing for less
_AGAIN_S: Final = (4.0, 10.0)  # between two looks: at first, and later
_LATER_S: Final = 60.0
_MOST_PODS: Final = 3  # of those that do not start; what keeps one keeps the others


class PodEvents:
    """``obstacles``: by worker, what the events said at the latest look. ``wake`` is called when that changes.

    ``turns``: shared by all feeds, so that many feeds without pods ask one after the other.
    """

    def __init__(self, kube: KubeClient, turns: asyncio.Lock, wake: Callable[[], None]) -> None:
        self._kube, self._turns, self._wake = kube, turns, wake
        self._since: dict[int, float] = {}  # worker -> since when its pod is missing or does not start
        self._found: dict[int, str] = {}
        self._looked_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def obstacle(self, worker: int) -> str:
        return self._found.get(worker, "")

    def look(self, feed: Feed, missing: Mapping[int, str], waiting: Mapping[int, Pod]) -> None:
        """Start a look if one is due. ``missing``: names of pods that are not there; ``waiting``: that do not start."""
        now = time.monotonic()
        concerned = {*missing, *waiting}
        self._since = {worker: self._since.get(worker, now) for worker in concerned}
        self._found = {worker: text for worker, text in self._found.items() if worker in concerned}
        overdue = {worker for worker, since in self._since.items() if now - since >= PATIENCE_S}
        if not overdue or (self._task is not None and not self._task.done()):
            return
        first, later = _AGAIN_S
        pause = first if now - min(self._since[worker] for worker in overdue) < _LATER_S else later
        if now - self._looked_at >= pause:
            self._looked_at = now
            self._task = asyncio.create_task(
                self._look(
                    feed,
                    {worker: pod for worker, pod in missing.items() if worker in overdue},
                    {worker: pod for worker, pod in waiting.items() if worker in overdue},
                ),
                name=f"events of {feed.namespace}/{feed.name}",
            )

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self, feed: Feed, missing: Mapping[int, str], waiting: Mapping[int, Pod]) -> None:
        found: dict[int, str] = {}
        try:
            async with self._turns:
                if missing and (uid := await self._workload(feed)):
                    events = await self._events(feed.namespace, uid)
                    found |= {worker: refusal(events, pod) for worker, pod in missing.items()}
                for worker in sorted(waiting)[:_MOST_PODS]:
                    found[worker] = obstruction(await self._events(feed.namespace, waiting[worker].uid))
        except (KubeError, msgspec.MsgspecError) as error:
            _log.warning(
                "events of the feed's pods could not be read",
                namespace=feed.namespace,
                feed=feed.name,
                error=str(error),
            )
            return
        said = {worker: text for worker, text in found.items() if text and worker in self._since}
        if said != self._found:
            self._found = said
            self._wake()

    async def _workload(self, feed: Feed) -> str:
        """The StatefulSet's uid, so that events of an earlier one of its name do not count; empty: there is none."""
        path = f"{collection('apps/v1', 'statefulsets', feed.namespace)}/{feed.name}"
        try:
            return msgspec.json.decode(await self._kube.get(path), type=_Named).metadata.uid
        except NotFoundError:
            return ""

    async def _events(self, namespace: str, uid: str) -> list[Event]:
        path = collection("v1", "events", namespace)
        items: Iterable[msgspec.Raw] = await self._kube.list(path, fields=f"involvedObject.uid={uid}")
        return [read_event(raw) for raw in items]


class _EventListMeta(msgspec.Struct):
    uid: str


class _Named(msgspec.Struct):
    metadata: _EventListMeta
