"""Follow one collection of the cluster by list and watch, into a ``Store`` of typed values.

A cycle reads the store instead of listing megabytes. Four rules make that as safe as a list:

- A watch always begins with a list. Any end of a watch leads to the next list: the server's time limit, a cut
  connection, an ERROR such as 410, or a silence longer than that between two bookmarks. There is no second way on.
- Before a cycle reads, ``fresh`` lists again unless the watch has had an event within the last ``fresh_s``. Hundreds of
  workers send events all the time, and where a few are quiet, a list is small. So a watch that hangs or loses events
  costs a list for each cycle, and nothing else.
- A write of this process is in the store at once. If the outcome of a write is not known, the next cycle begins with a
  list. So it does after a refused write, since another operator may have acted before this one.
- Every write still names the resourceVersion that it rests on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar

import msgspec

from ibfeed_api.backoff import Backoff
from ibfeed_api.log import Log
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import KubeError
from ibfeed_operator.kube.store import Change, Key, Store

_log: Final = Log(__name__)

WATCH_S: Final = 300  # how long the server lets a watch run, so no list is ever older
SILENCE_S: Final = 75.0  # the server sends a bookmark each minute
_AGAIN_S: Final = 1.0  # pause before the next list of a watch
_LONGEST_PAUSE_S: Final = 30.0  # after failures

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
    """The objects of one collection as typed values, kept up to date by list and watch.

    Args:
        read: makes a value of an object's JSON; None if the object is not to be stored.
        labels: label selector of the objects.
        fresh_s: a cycle relies on the watch if its last event is at most so old, in seconds.
        silence_s: a watch without an event for so long is ended, in seconds.
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
        self._store: Final[Store[T]] = Store()
        self._listing: Final = asyncio.Lock()
        self._doubts = 0  # how often there was reason for a list
        self._settled = 0  # how many of these reasons the latest list has settled
        self.heard_at = float("-inf")  # monotonic, in seconds: every change until then is known

    def listen(self, tell: Callable[[Change[T]], None]) -> None:
        """Call ``tell`` with each change from now on."""
        self._listeners.append(tell)

    async def run(self) -> None:
        """List and watch for ever. After failures the pause grows up to 30 s."""
        pause = Backoff(_AGAIN_S, _LONGEST_PAUSE_S)
        while True:
            wait = _AGAIN_S
            try:
                await self._list(self._store.replace)
                pause.reset()
                await self._watch()
            except KubeError as error:
                wait = pause.next()
                _log.warning("a kind is not followed", path=self._path, error=str(error))
            await asyncio.sleep(wait)

    async def fresh(self) -> None:
        """Return once ``values`` is as new as the server's state, but for ``fresh_s``. Raises KubeError."""
        if self._is_fresh():
            return
        await self._list(self._store.refresh, unless=self._is_fresh)

    def value(self, key: Key) -> T | None:
        """Return the newest known value of one object. It may be newer than the one that a cycle began with."""
        return self._store.value(key)

    def values(self, namespace: str | None = None) -> Iterator[tuple[Key, T]]:
        return self._store.values(namespace)

    def mark_stale(self) -> None:
        """Make the next call of ``fresh`` wait for a list, since changes may be missing here."""
        self._doubts += 1

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Wrap a write to one of the objects. If it fails, its outcome or the object's state is not known."""
        try:
            yield
        except BaseException:
            self.mark_stale()
            raise

    def wrote(self, raw: bytes, value: T) -> None:
        """Store a write of this process. ``raw`` is the server's answer to it, ``value`` what was read from that."""
        meta = msgspec.json.decode(raw, type=_WatchedObject).metadata
        self._store.wrote((meta.namespace, meta.name), value, int(meta.resource_version))

    def _tell(self, change: Change[T]) -> None:
        for tell in self._listeners:
            tell(change)

    def _value(self, raw: msgspec.Raw) -> T | None:
        try:
            return self._read(raw)
        except msgspec.ValidationError as error:  # one object of another version may not hide the others
            _log.warning("an object cannot be read", path=self._path, error=str(error))
            return None

    def _is_fresh(self) -> bool:
        return self._settled == self._doubts and time.monotonic() - self.heard_at < self._fresh_s

    async def _list(
        self,
        into_store: Callable[[Mapping[Key, T], int], list[Change[T]]],
        unless: Callable[[], bool] = lambda: False,
    ) -> None:
        async with self._listing:
            if unless():  # another caller has just listed
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
            for change in into_store(found, int(version)):
                self._tell(change)

    async def _watch(self) -> None:
        query = {"resourceVersion": str(self._store.position), "timeoutSeconds": str(WATCH_S)}
        async for line in self._kube.watch(self._path, query, labels=self._labels, silence_s=self._silence_s):
            event = msgspec.json.decode(line, type=_WatchEvent)
            if event.type == "ERROR":
                _log.info(
                    "the watch ended, listing again",
                    path=self._path,
                    status=bytes(event.object)[:300].decode(errors="replace"),
                )
                return
            meta = msgspec.json.decode(event.object, type=_WatchedObject).metadata
            version = int(meta.resource_version)
            self.heard_at = time.monotonic()
            if event.type == "BOOKMARK":
                self._store.bookmark(version)
                continue
            value = None if event.type == "DELETED" else self._value(event.object)
            change = self._store.event((meta.namespace, meta.name), value, version)
            if change is not None:
                self._tell(change)
