"""Keeps the account that the worker is given: takes its Lease, uses it until it is lost or parked, gives it back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NoReturn

from ibfeed_api.log import Log
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Account, Session
from ibfeed_worker.account.failsafe import MemberCalls
from ibfeed_worker.account.fence import Fence
from ibfeed_worker.account.leaseholder import Leaseholder, acquire_lease
from ibfeed_worker.account_session import AccountSession, SessionParts
from ibfeed_worker.errors import AccountParkedError
from ibfeed_worker.kube.client import Kube
from ibfeed_worker.runtime.failures import Failures
from ibfeed_worker.runtime.tasks import bounded, cancel, to_the_end
from ibfeed_worker.stream import Streamer

# Seconds for each step of the way out. With those of worker.py and a logout of 2.5 s (account_session.py) they stay
# below the pod's grace period of 45 s.
STOP_GATEWAY_S: Final = 3.0
STATUS_S: Final = 2.0
_RELEASE_S: Final = 7.0
_FREE_LEASE_S: Final = 3.0
_log: Final = Log(__name__)


class AccountKeeper:
    """One for the worker's whole life. ``session`` is that of the account while there is one.

    Args:
        streamer: returns the data path once there is one.
        report: writes the shard's status.
    """

    def __init__(
        self,
        parts: SessionParts,
        kube: Kube,
        fence: Fence,
        failsafe: MemberCalls,
        failures: Failures,
        *,
        streamer: Callable[[], Awaitable[Streamer]],
        report: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self.session: AccountSession | None = None
        self._parts: Final = parts
        self._kube: Final = kube
        self._fence: Final = fence
        self._failsafe: Final = failsafe
        self._failures: Final = failures
        self._streamer: Final = streamer
        self._report: Final = report

    async def use(self, account: Account) -> None:
        """Take the account, use it until it is lost or parked, give it back. Returns when it may be tried again."""
        parts = self._parts
        leaseholder = await acquire_lease(
            self._kube,
            account.lease,
            parts.config.holder,
            self._fence,
            lambda why: parts.status.set(Session.WAITING_FOR_ACCOUNT, Reason.ACCOUNT_HELD, why),
            self._failsafe,
            on_end=self._failures.of_task,
        )
        parts.metrics.failsafe.set_function(lambda: leaseholder.goes_on)
        sessions = asyncio.create_task(self._sessions(account, leaseholder), name="sessions")
        lost = asyncio.create_task(leaseholder.lost.wait(), name="lease lost")
        parked: AccountParkedError | None = None
        try:
            await asyncio.wait((sessions, lost), return_when=asyncio.FIRST_COMPLETED)
            if not leaseholder.lost.is_set():
                sessions.result()  # it only ever ends by raising
        except AccountParkedError as error:
            parked = error
            parts.status.set(Session.PARKED, error.reason, error.message)
        finally:
            await to_the_end(self._give_back(leaseholder, sessions))
            await cancel(lost)
        if parked is not None:
            await parts.logins.while_parked(account)

    async def _give_back(self, leaseholder: Leaseholder, sessions: asyncio.Task[NoReturn]) -> None:
        """Release what we stream and log out; then nobody is disturbed when somebody else takes the account."""
        parts = self._parts
        if leaseholder.lost.is_set():
            # Somebody else may take it in a moment: stop at once, nothing is left to be handed over.
            parts.metrics.leases_lost.inc()
            _log.error("account lost", lease=leaseholder.why_lost)
            parts.status.set(Session.RECONNECTING, Reason.LEASE_LOST, leaseholder.why_lost)
        elif self.session is not None and not sessions.done():
            await bounded(self.session.release(_RELEASE_S), _RELEASE_S + 1.0, "releasing the contracts")
            await bounded(self._report(), STATUS_S, "reporting the release")
        await cancel(sessions)
        await bounded(parts.gateways.stop(), STOP_GATEWAY_S, "stopping the gateway")
        await bounded(leaseholder.release(), _FREE_LEASE_S, "freeing the account")

    async def _sessions(self, account: Account, leaseholder: Leaseholder) -> NoReturn:
        """Raises AccountParkedError."""
        self.session = AccountSession(self._parts, await self._streamer(), account, leaseholder)
        watching = asyncio.create_task(self.session.follow_outages(), name="outages")
        watching.add_done_callback(self._failures.of_task)
        try:
            await self.session.run()
        finally:
            await cancel(watching)
            self.session = None
