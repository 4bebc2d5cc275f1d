"""The writer of the IbShard's status. It joins changes, and holds no one up.

A write costs the API server 20 ms where an account has 50 contracts. A worker's death makes as many others report a new
contract. So a change that no reader waits for is left to the next write that one waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from ibfeed_api.backoff import Backoff
from ibfeed_api.log import Log
from ibfeed_api.shard import ShardStatus
from ibfeed_worker.kube.client import KubeError, NotFoundError
from ibfeed_worker.shard.status import is_awaited, patch

_GAP: Final = 0.25  # seconds between two writes
_PATIENCE: Final = 2.0  # seconds that a change waits for another, if no reader awaits it; to be warm takes one
_REFRESH: Final = 10.0  # seconds after which moving fields, such as lastTickTime, are written again
_log = Log(__name__)


class StatusStore(Protocol):
    """The store of the status, which is ``Kube``. Raises KubeError."""

    async def patch_shard_status(self, name: str, body: dict[str, Any]) -> dict[str, Any]: ...


class StatusWriter:
    """The writer of one shard's status. Call ``poke()`` after each change; it writes ``compose()`` as of then."""

    def __init__(self, store: StatusStore, name: str, compose: Callable[[], ShardStatus]) -> None:
        self._store = store
        self._name = name
        self._compose = compose
        self._changed = asyncio.Event()
        self._written: ShardStatus | None = None
        self._writing = asyncio.Lock()

    def poke(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Write for ever."""
        pause = Backoff(0.3, 5.0)
        while True:
            await self._until_due()
            try:
                await self.write()
            except KubeError as error:
                # The next write holds all that this one did, so only the trying goes on.
                if pause.tries == 0:
                    _log.warning("status not written", error=str(error))
                self._changed.set()
                await asyncio.sleep(pause.next())
            else:
                pause.reset()
                await asyncio.sleep(_GAP)

    async def write(self) -> None:
        """Write now, unless nothing differs from the last write. Raises KubeError."""
        async with self._writing:
            status = self._compose()
            if status == self._written:
                return
            try:
                await self._store.patch_shard_status(self._name, patch(status))
            except NotFoundError:
                self._written = None  # deleted, or not created yet: the watcher knows
                return
            self._written = status

    async def _until_due(self) -> None:
        """Wait for news that a reader waits for, or until a change has waited long enough."""
        due = asyncio.get_running_loop().time() + _REFRESH
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._changed.wait()
            except TimeoutError:
                return
            self._changed.clear()
            if self._written is None or is_awaited(self._written, self._compose()):
                return
            due = min(due, asyncio.get_running_loop().time() + _PATIENCE)
