"""One conversation with a gateway: log in, repair, stream, keep alive, until it can't go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from ibfeed_api.feed import Accounts
from ibfeed_api.names import Reason, Session
from ibfeed_worker.backoff import Backoff
from ibfeed_worker.board import Board
from ibfeed_worker.log import Log
from ibfeed_worker.race import first
from ibfeed_worker.session.answers import Alive, AuthStatus, IbAccounts, Tickle
from ibfeed_worker.session.rest import Rest, describe
from ibfeed_worker.session.state import SETTLE_S, Step, next_step
from ibfeed_worker.setback import Parked, Setback
from ibfeed_worker.stream.connection import End, StreamEnd

TICKLE_EVERY_S: Final = 60.0
_SETTLE_LOOK_S: Final = 0.4
_STEADY_S: Final = 30.0  # a stream that lasted so long was a good one
_GIVE_UP_S: Final = 120.0  # of an upstream or gateway that makes no sense: then a new gateway process is tried
_LONGEST_YIELD_S: Final = 6 * 3600.0
_log: Final = Log(__name__)


class Conversation:
    """``log_in`` does one browser login (raises Setback or Parked); ``stream`` runs one websocket's life with the
    session of ``/tickle`` and returns its end; ``on_alive`` hears what each ``/tickle`` says of a session;
    ``lost_to_others`` counts how often in a row somebody else took
    the session."""

    def __init__(
        self,
        rest: Rest,
        board: Board,
        accounts: Accounts,
        *,
        log_in: Callable[[], Awaitable[None]],
        stream: Callable[[str], Awaitable[StreamEnd]],
        on_alive: Callable[[Alive], None] = lambda _: None,
        lost_to_others: int = 0,
    ) -> None:
        self._rest = rest
        self._board = board
        self._accounts = accounts
        self._log_in = log_in
        self._stream = stream
        self._on_alive = on_alive
        self._lost_to_others = lost_to_others
        self._nudged = asyncio.Event()
        self._logged_in_at: float | None = None
        self._accepted = False
        self._troubled_since: float | None = None
        self._retry = Backoff(0.3, 15.0)
        self._loop = asyncio.get_running_loop()

    def nudge(self) -> None:
        """The websocket says that something is wrong with the session: ask IB now."""
        self._nudged.set()

    async def run(self) -> NoReturn:
        """Raises Setback or Parked when the session can't go on."""
        while True:
            said = await self._tickle()
            step = next_step(said, since_login=self._since_login())
            if step not in (Step.WAIT, Step.STREAM):
                self._troubled_since = None
            await self._do(step, said)

    async def _do(self, step: Step, said: Tickle) -> None:
        match step:
            case Step.STREAM if isinstance(said, Alive):
                await self._stream_once(said.session)
            case Step.SETTLE:
                await self._settle()
            case Step.REPAIR:
                await self._reopen(compete=self._accounts.compete)
            case Step.LOGIN:
                await self._log_in_once()
            case Step.YIELD:
                await self._yield()
            case Step.KEEP_SILENT:
                left = self._rest.penalty_left()
                self._board.say(Session.BACKING_OFF, Reason.PENALTY_BOX, f"IB answered 429: silent for {left:.0f} s")
                await asyncio.sleep(left)
            case _:
                await self._wait(describe(said) if not isinstance(said, Alive) else "no sense in /tickle")

    async def _tickle(self) -> Tickle:
        said = await self._rest.tickle()
        if isinstance(said, Alive):
            self._on_alive(said)
        return said

    def _since_login(self) -> float | None:
        return None if self._logged_in_at is None else self._loop.time() - self._logged_in_at

    async def _log_in_once(self) -> None:
        # A session that is lost again goes through the back-off outside, never straight to the next browser.
        if self._logged_in_at is not None:
            raise Setback(Reason.SESSION_LOST, "IB has ended the session; logging in again")
        self._board.say(Session.LOGGING_IN)
        await self._log_in()
        self._logged_in_at = self._loop.time()
        self._board.say(Session.CONNECTING)

    async def _settle(self) -> None:
        """The gateway opens the brokerage session by itself, some seconds after the login: wait for it."""
        while (since := self._since_login()) is not None and since < SETTLE_S:
            said = await self._rest.auth_status()
            if isinstance(said, AuthStatus) and (said.authenticated or said.competing):
                return
            if isinstance(said, AuthStatus) and said.connected:
                seen = next_step(Alive("", said), since_login=since)
                if seen is not Step.SETTLE:
                    return
            await asyncio.sleep(_SETTLE_LOOK_S)

    async def _reopen(self, *, compete: bool) -> None:
        self._board.say(Session.RECONNECTING, Reason.SESSION_LOST, "opening the brokerage session again")
        said = await self._rest.reopen(compete=compete)
        if isinstance(said, AuthStatus) and said.authenticated:
            _log.info("brokerage session is open again")
            return
        await self._wait(
            said.message or "ssodh/init opened no session" if isinstance(said, AuthStatus) else describe(said)
        )

    async def _yield(self) -> None:
        if self._accounts.compete:
            await self._reopen(compete=True)
            return
        delay = min(_LONGEST_YIELD_S, self._accounts.compete_backoff_seconds * 2.0**self._lost_to_others)
        until = datetime.now(UTC) + timedelta(seconds=delay)
        raise Setback(Reason.COMPETING, "someone else uses this account's session; staying logged out", until=until)

    async def _stream_once(self, session: str) -> None:
        if not self._accepted and not await self._accept():
            return
        self._troubled_since = None
        begun = self._loop.time()
        if self._board.session is not Session.RECONNECTING:
            self._board.say(Session.CONNECTING)
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
            self._board.say(Session.RECONNECTING, Reason.SESSION_LOST, f"stream ended: {why}")
        await asyncio.sleep(self._retry.next())

    async def _mend_silence(self, end: StreamEnd) -> None:
        """A new connection may help; if it did not, a new brokerage session; then a new login, each time after a longer
        wait for data, so that nothing of it becomes a habit."""
        self._board.say(Session.RECONNECTING, Reason.FEED_SILENT, end.text)
        if end.silent_in_a_row == 2:
            await self._reopen(compete=self._accounts.compete)
        elif end.silent_in_a_row > 2:
            raise Setback(Reason.FEED_SILENT, f"{end.text}, on {end.silent_in_a_row} connections in a row")

    async def _accept(self) -> bool:
        """Refuse to stream from anything but a paper account. Raises Parked; False if IB can't say now."""
        said = await self._rest.accounts()
        if not isinstance(said, IbAccounts):
            await self._wait(describe(said) if not isinstance(said, AuthStatus) else said.message)
            return False
        if said.is_paper is not True and not self._accounts.allow_live:
            raise Parked(
                Reason.NOT_PAPER,
                "IB does not say that this is a paper account: correct the credentials, or set accounts.allowLive",
            )
        self._accepted = True
        return True

    async def _keep_alive(self) -> None:
        """Tickle each minute, and at once when nudged; return when the session needs more than that."""
        while True:
            try:
                async with asyncio.timeout(TICKLE_EVERY_S):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()
            match next_step(await self._tickle(), since_login=None):
                case Step.STREAM | Step.WAIT:
                    # An upstream in trouble may well go on streaming; the stream's own heartbeat judges that.
                    continue
                case Step.KEEP_SILENT:
                    left = self._rest.penalty_left()
                    self._board.say(
                        self._board.session, Reason.PENALTY_BOX, f"IB answered 429: silent for {left:.0f} s"
                    )
                    await asyncio.sleep(left)
                    self._board.say(self._board.session)
                case _:
                    return

    async def _wait(self, text: str) -> None:
        """Wait for the upstream to come to its senses. Raises Setback in the end."""
        now = self._loop.time()
        if self._troubled_since is None:
            self._troubled_since = now
        if now - self._troubled_since > _GIVE_UP_S:
            raise Setback(
                Reason.GATEWAY_SILENT, f"no sense from the gateway for {_GIVE_UP_S:g} s: {text}", restart_gateway=True
            )
        self._board.say(Session.RECONNECTING, Reason.UPSTREAM_UNREACHABLE, f"IB can't be asked: {text}")
        await asyncio.sleep(self._retry.next())
