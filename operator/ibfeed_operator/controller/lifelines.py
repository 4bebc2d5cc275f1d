"""Lifelines: a connection to each worker's process, which ends when the process does. Its kernel closes it at once.

Kubernetes tells a second later that a container has died, for the kubelet looks once a second. A lifeline that breaks
is no proof, since a network can break it. The process has ended if its pod refuses a new connection besides: then
nothing listens there any more, and a worker listens from its first moment to its last.

That word is taken for the contracts, which readers drop by epoch if it was wrong. It is not taken for the account,
which is free only when its Lease is. A process that can be connected to again has not ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from ibfeed_api.backoff import Backoff
from ibfeed_api.log import Log
from ibfeed_api.worker_pod import LIFELINE_PATH, WORKER_PORT, address_of

_log: Final = Log(__name__)
_CONNECT_S: Final = 3.0
_REFUSED_S: Final = 1.0
# The kernel closes a process's sockets one by one: the last one that listens may be open a moment longer.
_LOOKS: Final = 10
_LOOK_EVERY_S: Final = 0.02
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)


@dataclass(frozen=True, slots=True)
class WorkerAddress:
    """A worker's process.

    Args:
        pod: namespace and name of its pod, for a person.
        started_at: as the process reports it; another process has another one.
        ip: the pod's.
    """

    worker: int
    pod: str
    started_at: str
    ip: str


class Lifelines:
    """The lifelines to one feed's workers. ``wake`` is called when it is known that a process has ended."""

    def __init__(self, http: aiohttp.ClientSession, wake: Callable[[], None]) -> None:
        """Create them without any. ``http`` must not limit the number of its connections."""
        self._http: Final = http
        self._wake: Final = wake
        self._held: Final[dict[WorkerAddress, asyncio.Task[None]]] = {}
        self._ended: Final[set[WorkerAddress]] = set()

    @property
    def ended(self) -> Mapping[int, str]:
        """By worker, the start of a process that has ended."""
        return {address.worker: address.started_at for address in self._ended}

    def hold(self, addresses: set[WorkerAddress]) -> None:
        """Hold a lifeline to each of these processes, and to no other."""
        for address in self._held.keys() - addresses:
            self._held.pop(address).cancel()
            self._ended.discard(address)
        for address in addresses - self._held.keys():
            task = asyncio.create_task(self._keep(address), name=f"lifeline of worker {address.worker}")
            task.add_done_callback(_must_not_fail)
            self._held[address] = task

    async def close(self) -> None:
        tasks = list(self._held.values())
        self.hold(set())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, address: WorkerAddress) -> None:
        pause = Backoff(1.0, 30.0)
        while True:
            if await self._follow(address):
                pause.reset()
                if await _refuses(address):
                    _log.warning("a worker's process has ended", pod=address.pod, started_at=address.started_at)
                    self._ended.add(address)
                    self._wake()
            await asyncio.sleep(pause.next())

    async def _follow(self, address: WorkerAddress) -> bool:
        """Return when the connection has ended; whether there was one."""
        url = f"http://{address_of(address.ip, WORKER_PORT)}{LIFELINE_PATH}"
        there = False
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._http.get(url, timeout=_TIMEOUT, allow_redirects=False) as response:
                there = response.status == 200
                if there:
                    self._is_there(address)
                    await response.read()  # nothing comes, until it ends
        return there

    def _is_there(self, address: WorkerAddress) -> None:
        if address in self._ended:
            self._ended.discard(address)
            self._wake()


def _must_not_fail(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a lifeline is not held any more", lifeline=task.get_name(), cause=error)


async def _refuses(address: WorkerAddress) -> bool:
    """Whether nothing listens at a worker's address. No answer is not a no."""
    for _ in range(_LOOKS):
        try:
            async with asyncio.timeout(_REFUSED_S):
                _, writer = await asyncio.open_connection(address.ip, WORKER_PORT)
        except ConnectionRefusedError:
            return True
        except (TimeoutError, OSError):
            return False
        writer.close()
        await asyncio.sleep(_LOOK_EVERY_S)
    return False
