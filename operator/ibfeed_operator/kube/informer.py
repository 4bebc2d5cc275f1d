"""Follow one collection of the cluster by list and watch, into a ``Store`` of typed values.

A cycle reads the mirror instead of listing megabytes. Four rules make that as safe as a list:

- A watch always begins with a list, and whatever ends it (the server's time limit, a cut connection, an ERROR such as
  410, silence longer than that between two bookmarks) leads to the next list: there is no second way to go on.
- Before a cycle reads, ``fresh`` lists anew unless the watch has said anything within the last moment. Hundreds of
  workers are heard all the time; where a few are quiet, a list is small. So a watch that hangs or loses events costs a
  list for each cycle, and nothing else.
- What this process writes is in the mirror at once. If the outcome of a write is not known, or it was refused, as if
  another operator acted before this one, the next cycle begins with a list.
- Every write still names the resourceVersion that it rests on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar

import msgspec

from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import KubeError
from ibfeed_operator.kube.store import Change, Key, Store

logger = logging.getLogger(__name__)

WATCH_S: Final = 300  # how long the server lets a watch run: no list is ever older
SILENCE_S: Final = 75.0  # the server sends a bookmark each minute
_AGAIN_S: Final = (1.0, 30.0)  # between two lists for watches: at least, and at most after failures

T = TypeVar("T")


class _ItemMeta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = "0"


class _WatchedObject(msgspec.Struct):
    metadata: _ItemMeta


class _WatchEvent(msgspec.Struct):
    type: str
    object: msgspec.Raw


class Informer(Generic[T]):
    """``read`` makes a value of an object's JSON, or None if it is not one to know of.

    ``fresh_s``: how long ago the watch must have been heard for a cycle to rely on it.
    """

    def __init__(
        self,
        kube: KubeClient,
        path: str,
        read: Callable[[msgspec.Raw], T | None],
        *,
        labels: str = "",
        fresh_s: float,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._kube, self._path, self._labels = kube, path, labels
        self._read, self._fresh_s, self._silence_s = read, fresh_s, silence_s
        self._listeners: Final[list[Callable[[Change[T]], None]]] = []
        self._mirror: Final[Store[T]] = Store()
        self._listing: Final = asyncio.Lock()
        self._doubts = 0  # how often there was reason for a list, and how many of these the latest list has settled
        self._settled = 0
        self.heard_at = float("-inf")  # monotonic: everything until then is known

    def listen(self, tell: Callable[[Change[T]], None]) -> None:
        """``tell`` hears of each change from now on."""
        self._listeners.append(tell)

    async def run(self) -> None:
        """For ever. What goes wrong is tried again with growing patience."""
        first, longest = _AGAIN_S
        failures = 0
        while True:
            try:
                await self._list(self._mirror.begin)
                failures = 0
                await self._watch()
            except KubeError as error:
                failures += 1
                logger.warning("%s is not followed: %s", self._path, error)
            await asyncio.sleep(min(first * 2.0 ** min(max(failures - 1, 0), 10), longest))

    async def fresh(self) -> None:
        """Return once what ``values`` says is the server's newest, but for a moment. Raises ClusterError."""
        if self._is_fresh():
            return
        await self._list(self._mirror.refresh, unless=self._is_fresh)

    def value(self, key: Key) -> T | None:
        """The newest that is known of one object; it may be newer than what a cycle began with."""
        return self._mirror.value(key)

    def values(self, namespace: str | None = None) -> Iterator[tuple[Key, T]]:
        return self._mirror.values(namespace)

    def doubt(self) -> None:
        """What is known may not be all: the next who asks for it waits for a list."""
        self._doubts += 1

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Around a write to one of the objects: if it fails, who knows what became of it, or what was not known."""
        try:
            yield
        except BaseException:
            self.doubt()
            raise

    def wrote(self, raw: bytes, value: T) -> None:
        """``raw``: what the server answered to a write, ``value``: what was read of it."""
        meta = msgspec.json.decode(raw, type=_WatchedObject).metadata
        self._mirror.wrote((meta.namespace, meta.name), value, int(meta.resource_version))

    def _tell(self, change: Change[T]) -> None:
        for tell in self._listeners:
            tell(change)

    def _value(self, raw: msgspec.Raw) -> T | None:
        try:
            return self._read(raw)
        except msgspec.ValidationError as error:  # one object of another version must not hide all the others
            logger.warning("an object of %s cannot be read: %s", self._path, error)
            return None

    def _is_fresh(self) -> bool:
        return self._settled == self._doubts and time.monotonic() - self.heard_at < self._fresh_s

    async def _list(
        self,
        take: Callable[[Mapping[Key, T], int], list[Change[T]]],
        unless: Callable[[], bool] = lambda: False,
    ) -> None:
        async with self._listing:
            if unless():  # somebody has just listed
                return
            begun, doubts = time.monotonic(), self._doubts
            items, version = await self._kube.list_at(self._path, labels=self._labels)
            self._settled = doubts
            found = {}
            for raw in items:
                meta = msgspec.json.decode(raw, type=_WatchedObject).metadata
                if (value := self._value(raw)) is not None:
                    found[meta.namespace, meta.name] = value
            self.heard_at = max(self.heard_at, begun)
            for change in take(found, int(version)):
                self._tell(change)

    async def _watch(self) -> None:
        query = {"resourceVersion": str(self._mirror.position), "timeoutSeconds": str(WATCH_S)}
        async for line in self._kube.watch(self._path, query, labels=self._labels, silence_s=self._silence_s):
            event = msgspec.json.decode(line, type=_WatchEvent)
            if event.type == "ERROR":
                logger.info("%s is listed anew: %s", self._path, bytes(event.object)[:300].decode(errors="replace"))
                return
            meta = msgspec.json.decode(event.object, type=_WatchedObject).metadata
            version = int(meta.resource_version)
            self.heard_at = time.monotonic()
            if event.type == "BOOKMARK":
                self._mirror.bookmark(version)
                continue
            value = None if event.type == "DELETED" else self._value(event.object)
            change = self._mirror.event((meta.namespace, meta.name), value, version)
            if change is not None:
                self._tell(change)
