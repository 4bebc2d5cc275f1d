"""Takes the operator's Lease, renews it and releases it. ``leader_lease.py`` has the rules."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ibfeed_api.backoff import Backoff
from ibfeed_api.log import Log
from ibfeed_operator import metrics
from ibfeed_operator.kube import leader_lease
from ibfeed_operator.kube.client import KubeClient, collection
from ibfeed_operator.kube.errors import ConflictError, KubeError, LeadershipLostError, NotFoundError, UnreachableError
from ibfeed_operator.kube.leader_lease import Candidate, Lease, Move

_log: Final = Log(__name__)

LEASE_NAME: Final = "ibfeed-operator"
LEASE_API: Final = "coordination.k8s.io/v1"
POLL_S: Final = 0.25  # how often an operator that waits looks at the Lease
_CALL_S: Final = 2.0
_FRESH_S: Final = 10.0  # an older look at the Lease counts as none
# Without a look for so long, holders of Leases may not reach the API server either. On a busy one a call now and then
# takes too long; that must not keep a worker that hangs from being found.
_BLIND_S: Final = 4.0


def identity(environment: Mapping[str, str]) -> str:
    """Return the name to put on the Lease: that of the pod, else one of this process alone.

    A pod's name will do, since its containers run one after the other.
    """
    return f"{environment.get('POD_NAME', 'operator')}_{environment.get('POD_UID') or uuid.uuid4().hex}"


def now() -> float:
    """Return the seconds since boot, by a clock that runs while the machine sleeps and that cannot be set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Election:
    """The part of one operator process in the election of the leader.

    ``kube`` is a client of its own, or renewals would queue behind the feeds' calls. ``won`` is set once, when this
    process begins to act. ``on_away`` is called while the API server does not answer.
    """

    def __init__(self, kube: KubeClient, namespace: str, me: str) -> None:
        self.won: Final = asyncio.Event()
        self.on_away: Callable[[], None] = lambda: None
        self._kube = kube
        self._namespace = namespace
        self._path = f"{collection(LEASE_API, 'leases', namespace)}/{LEASE_NAME}"
        self._candidate = Candidate(me=me)
        self._looked = float("-inf")
        metrics.LEADER.set(0)

    def acts(self) -> bool:
        return self._candidate.acts(now())

    def trouble(self) -> str | None:
        """Return why this process neither leads nor would take over, or None if it does."""
        if now() - self._looked < _FRESH_S:
            return None
        return f"Lease {self._namespace}/{LEASE_NAME} could not be read for {_FRESH_S:g} s"

    async def run(self) -> None:
        """Wait for the Lease, then renew it. Raises LeadershipLostError once it is another's, and never returns."""
        pause = Backoff(0.2, 2.0)
        while True:
            wait: float | None = None
            try:
                async with asyncio.timeout(_CALL_S):
                    await self._once()
                pause.reset()
            except ConflictError:  # another operator wrote first: look again
                wait = pause.next()
            except (KubeError, TimeoutError) as error:
                wait = pause.next()
                if now() - self._looked >= _BLIND_S:
                    self._candidate = leader_lease.blinded(self._candidate)
                    self.on_away()
                _log.warning(
                    "the leader Lease was not renewed",
                    namespace=self._namespace,
                    lease=LEASE_NAME,
                    error=str(error) or "no answer in time",
                )
            metrics.LEADER.set(self.acts())
            calm = leader_lease.RENEW_EVERY_S if self.won.is_set() else POLL_S
            await asyncio.sleep(calm if wait is None else wait)

    async def release(self) -> None:
        """Release the Lease, so that the next operator acts at once. To be called when this process acts no more."""
        led, self._candidate = self.acts(), Candidate(me=self._candidate.me)
        metrics.LEADER.set(0)
        if not led:
            return
        try:
            async with asyncio.timeout(_CALL_S):
                lease = await self._read()
                if lease is not None and lease.holder == self._candidate.me:
                    await self._kube.patch(self._path, leader_lease.released(lease, datetime.now(UTC)))
        except (KubeError, TimeoutError) as error:
            _log.warning(
                "the leader Lease was not released",
                free_in_s=leader_lease.TAKE_AFTER_S,
                error=str(error) or "no answer in time",
            )

    async def _once(self) -> None:
        lease = await self._read()
        self._looked = now()
        self._candidate, move = leader_lease.next_move(self._candidate, lease, now())
        if move is Move.END:
            held = lease is not None and lease.holder
            raise LeadershipLostError(f"it is held by {held} now" if held else "it has no holder any more")
        if move is Move.CREATE:
            await self._kube.create(self._manifest())
        elif lease is not None and move is Move.TAKE:
            await self._write(leader_lease.taken(lease, self._candidate.me, datetime.now(UTC)))
            _log.info("this operator leads now", candidate=self._candidate.me)
            self.won.set()
        elif lease is not None and move is Move.RENEW:
            await self._write(leader_lease.renewed(lease, datetime.now(UTC)))

    async def _read(self) -> Lease | None:
        try:
            return _parse(await self._kube.get(self._path))
        except NotFoundError:
            return None

    async def _write(self, body: dict[str, Any]) -> None:
        sent = now()
        answer = _parse(await self._kube.patch(self._path, body))
        self._candidate = leader_lease.wrote(self._candidate, answer, sent)

    def _manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": LEASE_API,
            "kind": "Lease",
            "metadata": {"name": LEASE_NAME, "namespace": self._namespace},
            "spec": leader_lease.unheld(),
        }


class _LeaseMeta(msgspec.Struct, rename="camel"):
    uid: str
    resource_version: str


class _Body(msgspec.Struct):
    metadata: _LeaseMeta
    spec: dict[str, Any] | None = None


def _parse(raw: bytes) -> Lease:
    try:
        body = msgspec.json.decode(raw, type=_Body)
    except msgspec.MsgspecError as error:
        raise UnreachableError(f"Lease {LEASE_NAME} cannot be read: {error}") from error
    return Lease(body.metadata.uid, body.metadata.resource_version, body.spec or {})
