"""The exchange of penalties between workers: tell the others of our 429, and learn of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

from ibfeed_api.backoff import Backoff
from ibfeed_api.labels import ANNOTATION_PENALTIES
from ibfeed_api.log import Log
from ibfeed_worker.account import penalties
from ibfeed_worker.account.lease import LeaseStore
from ibfeed_worker.kube.client import ConflictError, KubeError, NotFoundError
from ibfeed_worker.session.pacing import Budget

LOOK_EVERY_S: Final = 30.0  # half the time between two calls of a worker that streams
_TRIES: Final = 6
_log: Final = Log(__name__)


class PenaltyExchange:
    """The worker's end of the exchange of penalties. Its own penalty is told once; one that it learns of silences it.

    Args:
        budget: this worker's.
        also: called with each Lease that is read, which holds more than penalties.
    """

    def __init__(
        self,
        store: LeaseStore,
        lease: str,
        budget: Budget,
        node: str,
        also: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self._also = also
        self._store = store
        self._lease = lease
        self._budget = budget
        self._node = f"node/{node}" if node else ""
        self._address = ""
        self._punished = asyncio.Event()

    def learn(self, address: str) -> None:
        """Note our address as IB sees it."""
        self._address = address

    def punished(self) -> None:
        """Note that IB has just answered us with 429."""
        self._punished.set()

    async def run(self) -> NoReturn:
        pause = Backoff(LOOK_EVERY_S, LOOK_EVERY_S)  # only for the random part: 200 workers must not look together
        untold = False
        while True:
            try:
                async with asyncio.timeout(pause.next()):
                    await self._punished.wait()
            except TimeoutError:
                await self.look()
            untold = untold or self._punished.is_set()
            self._punished.clear()
            untold = untold and self._left() > 0 and not await self._tell()

    async def look(self) -> None:
        """Learn what the others have told. Without an answer nothing changes."""
        try:
            lease = await self._store.read_lease(self._lease)
        except KubeError as error:
            if not isinstance(error, NotFoundError):
                _log.warning("penalties not read", lease=self._lease, error=str(error))
            return
        self._also(lease)
        now = datetime.now(UTC)
        silent = penalties.left(self._penalties(lease, now), self._addresses(), now).total_seconds()
        if silent > 0 and self._budget.hear(asyncio.get_running_loop().time(), silent):
            _log.warning("another worker of this address was answered 429", address=self._address, silent_s=silent)

    async def _tell(self) -> bool:
        """Tell the others. Return whether they know now, or there is no Lease to tell them by."""
        pause = Backoff(0.1, 2.0)
        why = ""
        for _ in range(_TRIES):
            try:
                lease = await self._store.read_lease(self._lease)
                now = datetime.now(UTC)
                until = now + timedelta(seconds=self._left())
                known = penalties.added(self._penalties(lease, now), self._addresses(), until)
                annotations = {ANNOTATION_PENALTIES: penalties.text(known)}
                version = lease["metadata"]["resourceVersion"]
                await self._store.patch_lease(
                    self._lease, {"metadata": {"resourceVersion": version, "annotations": annotations}}
                )
                return True
            except NotFoundError:
                return True
            except ConflictError:
                why = "others were faster"
            except KubeError as error:
                why = str(error)
            await asyncio.sleep(pause.next())
        _log.warning("the others were not told of the 429 yet", lease=self._lease, why=why)
        return False

    def _left(self) -> float:
        return self._budget.penalty_left(asyncio.get_running_loop().time())

    def _addresses(self) -> Collection[str]:
        return {address for address in (self._address, self._node) if address}

    @staticmethod
    def _penalties(lease: dict[str, Any], now: datetime) -> penalties.Penalties:
        annotations = lease["metadata"].get("annotations") or {}
        return penalties.parse(annotations.get(ANNOTATION_PENALTIES, ""), now)
