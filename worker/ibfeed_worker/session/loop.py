"""The loop of one session: log in, repair, stream, keep alive, until it can't go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from ibfeed_api.backoff import Backoff
from ibfeed_api.feed import Accounts
from ibfeed_api.log import Log
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Session
from ibfeed_worker.errors import AccountParkedError, SessionError
from ibfeed_worker.runtime.tasks import first
from ibfeed_worker.session.client import SessionClient, describe
from ibfeed_worker.session.next_step import SETTLE_S, SessionStep, next_step
from ibfeed_worker.session.responses import (
    Alive,
    AuthStatus,
    IbAccounts,
    NoSession,
    Tickle,
    Trouble,
    Unavailable,
    Unknown,
)
from ibfeed_worker.session.status import SessionStatus
from ibfeed_worker.stream.connection import End, StreamEnd

TICKLE_EVERY_S: Final = 60.0
_SETTLE_LOOK_S: Final = 0.4
_STEADY_S: Final = 30.0  # a stream that lasts longer was a good one
_GIVE_UP_S: Final = 120.0  # of an upstream or gateway that makes no sense; then a new gateway process is tried
# A new process costs the login, and is of no use while IB itself answers that it is away. So it may happen only a few
# times a day.
_GIVE_UP_LOGIN_S: Final = 6 * 3600.0
_ADDRESS_AFTER_S: Final = 90.0  # IB takes one /sso/validate a minute, and the gateway calls it at each login
# A single 401 beside a stream that goes on was seen to pass. IB is asked again after these pauses; a session without
# data is given up after the third refusal, one with data when the stream ends.
_ASK_AGAIN_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_REFUSALS: Final = 3
_FRESH_DATA_S: Final = 30.0
# The number of calls that the gateway was seen to make by itself, at once after a login and when it opens the brokerage
# session.
_CALLS_AFTER_LOGIN: Final = 5
_CALLS_TO_OPEN: Final = 4
_UNKNOWN_AGAIN_S: Final = 60.0  # until the next login after one whose session IB never knew
TAKEN: Final = (
    "another session has this account's user (TWS, the phone, the portal, or another installation) and its market data;"
    " staying logged out. End it there, give the feed an account of its own, or set accounts.compete"
)
TAKING_BACK: Final = (
    "another session has this account's user (TWS, the phone, the portal, or another installation); taking its place, "
    "as accounts.compete says"
)
_log: Final = Log(__name__)


class SessionLoop:
    """The life of one session with IB, through one gateway.

    Args:
        log_in: does one browser login (raises SessionError or AccountParkedError). Returns whether an earlier session
            of ours ended without a logout.
        stream: runs one websocket with the session of ``/tickle`` and returns its end.
        on_alive: called with each ``/tickle`` that knows the session.
        on_address: called with our address as IB sees it.
        data_age_s: returns the seconds since market data came last.
    """

    def __init__(
        self,
        rest: SessionClient,
        board: SessionStatus,
        accounts: Accounts,
        *,
        log_in: Callable[[], Awaitable[bool]],
        stream: Callable[[str], Awaitable[StreamEnd]],
        on_alive: Callable[[Alive], None] = lambda _: None,
        on_address: Callable[[str], None] = lambda _: None,
        data_age_s: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        self._rest = rest
        self._board = board
        self._accounts = accounts
        self._log_in = log_in
        self._stream = stream
        self._on_alive = on_alive
        self._on_address = on_address
        self._data_age_s = data_age_s
        self._left_open = False
        self._nudged = asyncio.Event()
        self._logged_in_at: float | None = None
        self._known = False  # IB has known a session since our login
        self._settling = False  # since our login, until its session can stream
        self._accepted = False
        self._address_asked = False
        self._troubled_since: float | None = None
        self._retry = Backoff(0.3, 15.0)
        self._loop = asyncio.get_running_loop()

    def nudge(self) -> None:
        """Ask IB now, since the websocket says that something is wrong with the session."""
        self._nudged.set()

    async def run(self) -> NoReturn:
        """Run until the session can't go on; then raise SessionError or AccountParkedError."""
        while True:
            said = await self._tickle()
            step = self._next_step(said)
            if step not in (SessionStep.WAIT, SessionStep.STREAM):
                self._troubled_since = None
            await self._do(step, said)

    async def _do(self, step: SessionStep, said: Tickle) -> None:
        match step:
            case SessionStep.STREAM if isinstance(said, Alive):
                await self._stream_once(said.session)
            case SessionStep.SETTLE:
                await self._settle()
            case SessionStep.REPAIR:
                await self._reopen(compete=self._accounts.compete)
            case SessionStep.TAKE:
                self._left_open = False  # once: a session that competes after that is not ours
                await self._reopen(compete=True)
            case SessionStep.LOGIN:
                await self._log_in_once()
            case SessionStep.YIELD:
                await self._yield()
            case SessionStep.KEEP_SILENT:
                left = self._rest.penalty_left()
                self._board.set(Session.BACKING_OFF, Reason.PENALTY_BOX, _penalty(left))
                await asyncio.sleep(left)
            case _:
                await self._wait_for(said)

    async def _tickle(self) -> Tickle:
        said = await self._rest.tickle()
        if isinstance(said, Alive):
            self._known = True
            self._on_alive(said)
        return said

    def _next_step(self, said: Tickle) -> SessionStep:
        # A session that has been open once is lost when IB says so, however young its login is.
        since = self._since_login() if self._settling else None
        return next_step(said, since_login=since, left_open=self._left_open)

    def _since_login(self) -> float | None:
        return None if self._logged_in_at is None else self._loop.time() - self._logged_in_at

    async def _log_in_once(self) -> None:
        # A session that is lost again goes through the back-off outside, never straight to the next browser.
        if self._logged_in_at is not None and not self._known:
            raise SessionError(
                Reason.SESSION_LOST,
                f"the login passed, but IB knew no session of it for {SETTLE_S:g} s",
                delay=_UNKNOWN_AGAIN_S,
            )
        if self._logged_in_at is not None:
            raise SessionError(Reason.SESSION_LOST, "IB has ended the session; logging in again")
        self._board.set(Session.LOGGING_IN)
        self._left_open = await self._log_in()
        self._known, self._settling = False, True
        self._rest.gateway_called(_CALLS_AFTER_LOGIN)
        self._logged_in_at = self._loop.time()
        self._board.set(Session.CONNECTING)

    async def _settle(self) -> None:
        """Wait for the brokerage session, which the gateway opens by itself some seconds after the login."""
        while (since := self._since_login()) is not None and since < SETTLE_S:
            said = await self._rest.auth_status()
            if isinstance(said, AuthStatus) and self._next_step(Alive("", said)) is not SessionStep.SETTLE:
                self._rest.gateway_called(_CALLS_TO_OPEN)
                return
            await asyncio.sleep(_SETTLE_LOOK_S)

    async def _reopen(
        self, *, compete: bool, why: Reason = Reason.SESSION_LOST, text: str = "opening the brokerage session again"
    ) -> None:
        self._board.set(Session.RECONNECTING, why, text)
        said = await self._rest.reopen(compete=compete)
        if isinstance(said, AuthStatus) and said.authenticated:
            _log.info("brokerage session is open again")
            return
        await self._wait_for(said)

    async def _yield(self) -> None:
        if self._accounts.compete:
            self._board.contested()
            await self._reopen(compete=True, why=Reason.COMPETING, text=TAKING_BACK)
            return
        raise SessionError(Reason.COMPETING, TAKEN)

    async def _stream_once(self, session: str) -> None:
        if not self._accepted and not await self._accept():
            return
        self._troubled_since = None
        self._left_open = self._settling = False
        begun = self._loop.time()
        if self._board.session is not Session.RECONNECTING:
            self._board.set(Session.CONNECTING)
        ended: list[StreamEnd] = []

        async def stream() -> None:
            ended.append(await self._stream(session))

        self._nudged.clear()
        await first(stream(), self._keep_alive())
        if self._loop.time() - begun > _STEADY_S:
            self._retry.reset()
        if ended and ended[0].reason is End.SILENT_FEED:
            await self._mend_silence(ended[0])
        else:
            why = ended[0].text if ended else "the session needs care"
            self._board.set(Session.RECONNECTING, Reason.SESSION_LOST, f"stream ended: {why}")
        await asyncio.sleep(self._retry.next())

    async def _mend_silence(self, end: StreamEnd) -> None:
        """Mend a feed that is silent as a whole, by ever stronger means.

        First comes a new connection, then a new brokerage session, then a new login. Each comes after a longer wait for
        data, so that none becomes a habit.
        """
        self._board.set(Session.RECONNECTING, Reason.FEED_SILENT, end.text)
        if end.silent_in_a_row == 2:
            await self._reopen(compete=self._accounts.compete, why=Reason.FEED_SILENT)
        elif end.silent_in_a_row > 2:
            raise SessionError(Reason.FEED_SILENT, f"{end.text}, on {end.silent_in_a_row} connections in a row")

    async def _accept(self) -> bool:
        """Refuse to stream from anything but a paper account. Raises AccountParkedError; False if IB can't say now."""
        said = await self._rest.accounts()
        if not isinstance(said, IbAccounts):
            await self._wait_for(said)
            return False
        if said.is_paper is not True and not self._accounts.allow_live:
            raise AccountParkedError(
                Reason.NOT_PAPER,
                "IB does not say that this is a paper account: correct the credentials, or set accounts.allowLive",
            )
        self._accepted = True
        return True

    async def _keep_alive(self) -> None:
        """Tickle each minute, and at once when nudged. Return when the session needs more than that."""
        while True:
            if (self._since_login() or 0.0) > _ADDRESS_AFTER_S:
                await self._ask_for_address()
            try:
                async with asyncio.timeout(TICKLE_EVERY_S):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()
            said = await self._tickle()
            match next_step(said, since_login=None):
                case SessionStep.STREAM:
                    self._mention(None)
                case SessionStep.WAIT:
                    # An upstream in trouble may well go on streaming. The stream's own heartbeat decides about that.
                    self._mention(said)
                case SessionStep.KEEP_SILENT:
                    left = self._rest.penalty_left()
                    self._board.set(self._board.session, Reason.PENALTY_BOX, _penalty(left))
                    await asyncio.sleep(left)
                    self._board.set(self._board.session)
                case SessionStep.LOGIN if await self._is_known_again():
                    pass
                case _:
                    return

    async def _is_known_again(self) -> bool:
        """Ask again about a session that IB has just denied while its stream goes on.

        Return whether IB knows it after all.

        Data prove the session alive, whatever ``/tickle`` says; a heartbeat proves nothing.
        """
        refusals = 1
        while True:
            alive = self._data_age_s() < _FRESH_DATA_S
            if refusals >= _REFUSALS and not alive:
                return False
            _log.warning("IB knows no session, while the stream goes on", refusals=refusals, data=alive)
            if self._board.session is Session.STREAMING:
                text = "IB says that it knows no session, while the stream goes on: asking again"
                self._board.set(Session.STREAMING, Reason.SESSION_DENIED, text)
            await asyncio.sleep(_ASK_AGAIN_S[min(refusals, len(_ASK_AGAIN_S)) - 1])
            said = await self._tickle()
            if not isinstance(said, NoSession):
                self._nudged.set()  # the next regular tickle handles the new answer
                return True
            refusals += 1

    def _mention(self, trouble: Tickle | None) -> None:
        """Say in the status of a streaming session that IB can't be asked, or can be again."""
        if self._board.session is not Session.STREAMING:
            return
        if trouble is None or isinstance(trouble, Alive):
            self._board.set(Session.STREAMING)
        else:
            self._board.set(Session.STREAMING, _reason(trouble), f"IB can't be asked: {describe(trouble)}")

    async def _ask_for_address(self) -> None:
        if not self._address_asked:
            self._address_asked = True
            if address := await self._rest.address():
                self._on_address(address)

    async def _wait_for(self, said: Alive | AuthStatus | Trouble) -> None:
        """Wait for the upstream to make sense again. Raises SessionError when that takes too long."""
        match said:
            case Alive():
                reason, text = Reason.NONSENSE_ANSWER, "no sense in /tickle"
            case AuthStatus(message=message):
                reason, text = Reason.SESSION_LOST, message or "ssodh/init opened no session"
            case _:
                reason, text = _reason(said), describe(said)
        now = self._loop.time()
        if self._troubled_since is None:
            self._troubled_since = now
        limit = _GIVE_UP_LOGIN_S if self._logged_in_at is not None and _is_away(said) else _GIVE_UP_S
        if now - self._troubled_since > limit:
            raise SessionError(
                Reason.GATEWAY_SILENT, f"no sense from the gateway for {limit:g} s: {text}", restart_gateway=True
            )
        self._board.set(Session.RECONNECTING, reason, f"IB can't be asked: {text}")
        await asyncio.sleep(self._retry.next())


def _penalty(left: float) -> str:
    until = datetime.now(UTC) + timedelta(seconds=left)
    return f"IB answered 429: nothing is asked of it until {until:%H:%M:%S} UTC"


def _is_away(said: Alive | AuthStatus | Trouble) -> bool:
    """Whether the gateway passes on that IB is away, rather than being silent itself."""
    return isinstance(said, Unavailable) and said.upstream


def _reason(trouble: Trouble) -> Reason:
    return Reason.NONSENSE_ANSWER if isinstance(trouble, Unknown) else Reason.UPSTREAM_UNREACHABLE
