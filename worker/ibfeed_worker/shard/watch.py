"""The watch of the worker's own IbShard."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from ibfeed_api.backoff import Backoff
from ibfeed_api.log import Log
from ibfeed_api.shard import EntryState, ShardSpec, ShardStatus
from ibfeed_worker.kube.client import GoneError, KubeError

_log = Log(__name__)
_LISTED_EARLY: Final = 5.0  # seconds; a watch that ends sooner than this is a failure


class ShardSource(Protocol):
    """The source of the IbShard, which is ``Kube``. Both calls block and raise KubeError."""

    def list_shard(self, name: str) -> tuple[dict[str, Any] | None, str]: ...

    def watch_shard(self, name: str, since: str) -> Iterator[tuple[str, dict[str, Any]]]: ...


@dataclass(frozen=True, slots=True)
class Shard:
    """The IbShard as read. ``status`` is not compared: a worker's own writes are no news to it."""

    generation: int
    spec: ShardSpec
    status: Mapping[str, Any] = field(default_factory=dict, compare=False)


class ShardWatcher:
    """A thread that hands each new state of the shard to ``on_change``, in the event loop.

    The state is a Shard, or None when it is not there. Our own status writes come back as events, too, and are no news:
    a worker that answered them by writing would write for ever. While the API server is away nothing changes: the
    worker goes on with the last spec that it knows.
    """

    def __init__(
        self,
        source: ShardSource,
        name: str,
        on_change: Callable[[Shard | None], None],
        on_failure: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Prepare the thread; ``start`` starts it. It calls ``on_failure`` if an unforeseen error ends it."""
        self._source = source
        self._name = name
        self._on_change = on_change
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._told: tuple[Shard | None] | None = None
        # A daemon, for it may wait in a read for up to WATCH_SILENCE seconds when the process ends.
        self._thread = threading.Thread(target=self._follow_safely, name="shard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _follow_safely(self) -> None:
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001 - the thread's last place that can say why
            self._on_failure(error)

    def _follow(self) -> None:
        pause = Backoff(0.2, 5.0)
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                found, version = self._source.list_shard(self._name)
                self._tell(found)
                for kind, body in self._source.watch_shard(self._name, version):
                    if self._stopping.is_set():
                        return
                    pause.reset()
                    if kind == "DELETED":
                        self._tell(None)
                    elif kind != "BOOKMARK":
                        self._tell(body)
            except GoneError:
                _log.info("watch too old, listing again")
            except KubeError as error:
                _log.warning("shard not followed", error=str(error))
                self._stopping.wait(pause.next())
                continue
            if time.monotonic() - begun < _LISTED_EARLY:
                self._stopping.wait(pause.next())

    def _tell(self, body: dict[str, Any] | None) -> None:
        shard = None
        if body is not None:
            try:
                shard = parse(body)
            except msgspec.ValidationError as error:
                # The operator is newer than we are: the last known spec stays in force.
                _log.error("IbShard not understood, the last spec stays in force", error=str(error))
                return
        if self._told == (shard,):
            return
        self._told = (shard,)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._on_change, shard)


def parse(body: dict[str, Any]) -> Shard:
    """Return the Shard in an API object. Raises msgspec.ValidationError."""
    return Shard(
        generation=int(body["metadata"].get("generation", 0)),
        spec=msgspec.convert(body.get("spec") or {}, ShardSpec),
        status=body.get("status") or {},
    )


def left_behind(shard: Shard) -> dict[int, int]:
    """Return conid to epoch of the contracts that an earlier process may have published, by the status that it left.

    A contract counts only while its entry still has that epoch. One on standby does not: it has not been published
    under that epoch.
    """
    try:
        status = msgspec.convert(shard.status, ShardStatus)
    except msgspec.ValidationError as error:
        _log.warning("status of an earlier process not understood", error=str(error))
        return {}
    reported = {report.conid: report.epoch for report in status.contracts}
    return {
        entry.conid: entry.epoch
        for entry in shard.spec.contracts
        if reported.get(entry.conid) == entry.epoch and entry.state is not EntryState.STANDBY
    }
