"""One account in use: session after session with IB, for as long as the account's Lease is ours."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from ibfeed_api.backoff import Backoff
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Account, Entry, Session
from ibfeed_worker.account.leaseholder import Leaseholder
from ibfeed_worker.account.login_record import after_logout, after_loss_to_others
from ibfeed_worker.account.penalty_exchange import PenaltyExchange
from ibfeed_worker.config import Config
from ibfeed_worker.credentials import Credentials
from ibfeed_worker.errors import AccountParkedError, ReloginDueError, SessionError
from ibfeed_worker.gateway.keeper import GatewayKeeper
from ibfeed_worker.gateway.process import Gateway
from ibfeed_worker.login.attempt import Logins
from ibfeed_worker.reference import Reference
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.runtime.tasks import bounded, first, to_the_end
from ibfeed_worker.session.client import SessionClient
from ibfeed_worker.session.loop import SessionLoop
from ibfeed_worker.session.pacing import Budget
from ibfeed_worker.session.relogin import Relogin
from ibfeed_worker.session.responses import Alive
from ibfeed_worker.session.schedule import Appointment, Lifetime, appointment
from ibfeed_worker.session.status import SessionStatus
from ibfeed_worker.session.timetable import Timetable
from ibfeed_worker.stream import Link, SessionFacts, StreamEnd, Streamer
from ibfeed_worker.universe.resolve import Universe

_GOOD_SESSION_S: Final = 120.0  # a session that streamed, and lasted so long, starts the back-off again
_TAILS_S: Final = 5.0
# Once the API server is back, the operator watches for 10 s before it takes anything from anybody.
_HEIRS_NAMED_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 300.0  # between logins that lead to nothing
_LOGOUT_S: Final = 2.5  # part of the way out: see worker.py


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """The parts by which an account is used; all of them live as long as the process.

    Args:
        entries: contracts whose trading hours and reference data matter now.
        holds_contracts: whether the shard has any contract, even one that is released.
        news: set when the shard, a contract or the session has changed.
    """

    config: Config
    metrics: Metrics
    status: SessionStatus
    gateways: GatewayKeeper
    logins: Logins
    penalties: PenaltyExchange
    budget: Budget
    timetable: Timetable
    universe: Universe
    reference: Reference
    entries: Callable[[], tuple[Entry, ...]]
    holds_contracts: Callable[[], bool]
    news: asyncio.Event

    def is_streaming(self) -> bool:
        return self.status.session is Session.STREAMING


class AccountSession:
    """The sessions of one account under one term of its Lease."""

    def __init__(self, parts: SessionParts, streamer: Streamer, account: Account, leaseholder: Leaseholder) -> None:
        self.client: SessionClient | None = None  # while there is a session to ask
        self._parts: Final = parts
        self._streamer: Final = streamer
        self._account: Final = account
        self._leaseholder: Final = leaseholder
        self._loop: SessionLoop | None = None
        self._lifetime: Lifetime | None = None
        self._streamed = False  # since the latest try began
        self._taken = False  # the websocket has said that somebody else has the session

    async def run(self) -> NoReturn:
        """One session after the other, with back-off. Raises AccountParkedError."""
        parts, loop = self._parts, asyncio.get_running_loop()
        if self._account.used_by:
            await parts.logins.while_used_elsewhere(self._account, self._leaseholder)
        pause = Backoff(0.5, _LONGEST_PAUSE_S)
        while True:
            begun, self._streamed = loop.time(), False
            try:
                await self._session()
            except SessionError as error:
                if error.reason is Reason.COMPETING and error.until is None:
                    error = await self._yield(error, lasted=loop.time() - begun)
                if self._streamed and loop.time() - begun > _GOOD_SESSION_S:
                    pause.reset()
                if error.restart_gateway:
                    await parts.gateways.stop()
                await self._back_off(error, pause.next())
            except ReloginDueError:
                pause.reset()

    async def follow_outages(self) -> NoReturn:
        """While the Lease can't be renewed, look every few seconds whether another worker publishes our contracts.

        Nor can anybody be told then to go on with the contracts of a worker that has died, so their standbys wait.
        """
        went_on = -math.inf
        while True:
            await asyncio.sleep(_TAILS_S)
            now, goes_on = asyncio.get_running_loop().time(), self._leaseholder.goes_on
            went_on = now if goes_on else went_on
            self._streamer.hold_long(now - went_on < _HEIRS_NAMED_S)
            if goes_on:
                await self._streamer.watch_tails()

    async def release(self, limit: float) -> None:
        """Stop publishing, and wait at most ``limit`` seconds for Kafka."""
        await self._streamer.release(limit)

    def on_session_facts(self, facts: SessionFacts) -> None:
        """The websocket has said something of the session."""
        status = self._parts.status
        if facts.competing is not None:
            self._taken = facts.competing
        if facts.authenticated is False or facts.competing is True:
            if self._loop is not None:
                self._loop.nudge()
        elif facts.authenticated is True and self._streamer.mute:
            status.set(Session.RECONNECTING, Reason.FEED_SILENT, "IB has the session again, but sends nothing yet")
        elif facts.authenticated is True:
            self._streamed = True
            status.set(Session.STREAMING)

    async def _yield(self, error: SessionError, *, lasted: float) -> SessionError:
        """Stay away for a while, which the account's Lease remembers: a new process must not begin to fight."""
        record = after_loss_to_others(
            self._leaseholder.record,
            now=datetime.now(UTC),
            lasted=timedelta(seconds=lasted),
            first=timedelta(seconds=self._parts.config.spec.accounts.compete_backoff_seconds),
        )
        await self._leaseholder.write(record)
        return SessionError(error.reason, error.message, until=record.next_login)

    async def _back_off(self, error: SessionError, usual: float) -> None:
        now = datetime.now(UTC)
        until = error.until or now + timedelta(seconds=error.delay if error.delay is not None else usual)
        delay = max(0.0, (until - now).total_seconds())
        # Credentials, gateway and session are all gone for now: whatever the reason, nothing streams.
        message = error.message if delay < 2 else f"{error.message}; next try at {until:%H:%M:%S} UTC"
        self._parts.status.set(Session.BACKING_OFF, error.reason, message)
        if error.reason is Reason.WRONG_CREDENTIALS:
            await first(asyncio.sleep(delay), self._parts.logins.until_corrected(self._account))
        else:
            await asyncio.sleep(delay)

    async def _session(self) -> NoReturn:
        """From nothing to a streaming session, until it can't go on. Raises SessionError or AccountParkedError."""
        parts = self._parts
        await parts.logins.until_due(self._account, self._leaseholder)
        await parts.penalties.look()
        # A change of a password counts at the next login: credentials are read for one login each.
        credentials = asyncio.create_task(parts.logins.read(self._account, self._leaseholder), name="credentials")
        try:
            if not parts.gateways.is_up:
                parts.status.set(Session.STARTING_GATEWAY)
            await self._converse(await parts.gateways.running(), credentials)
        finally:
            await _forget(credentials)

    async def _converse(self, gateway: Gateway, credentials: asyncio.Task[Credentials]) -> NoReturn:
        parts = self._parts
        self._lifetime, self._taken = None, False
        client = SessionClient(
            gateway.url, gateway.tls, parts.budget, parts.metrics, on_penalty=parts.penalties.punished
        )
        loop = SessionLoop(
            client,
            parts.status,
            parts.config.spec.accounts,
            log_in=lambda: self._log_in(gateway, credentials),
            stream=lambda session: self._stream(gateway, session),
            on_alive=self._on_alive,
            on_address=parts.penalties.learn,
            data_age_s=self._data_age_s,
        )
        self.client, self._loop = client, loop
        try:
            await first(
                loop.run(),
                gateway.died.wait(),
                gateway.sick.wait(),
                self._until_relogin(),
                parts.timetable.keep(client, parts.entries),
                parts.logins.note_stream(self._account, self._leaseholder, parts.is_streaming),
                parts.universe.read_on(client),
                parts.reference.keep(client),
            )
            if gateway.sick.is_set():
                text = f"the gateway's log says: {gateway.complaint}"
                raise SessionError(Reason.GATEWAY_SICK, text, restart_gateway=True)
            raise SessionError(Reason.GATEWAY_DIED, f"the gateway ended; it last said: {gateway.tail}")
        except AccountParkedError as parked:
            if self._leaseholder.record.parked:
                raise
            # It is of the session, not of the login.
            await parts.logins.failed(self._account, self._leaseholder, parked.reason, parked.message)
        finally:
            self.client = self._loop = None
            await to_the_end(self._end(client, gateway))

    async def _end(self, client: SessionClient, gateway: Gateway) -> None:
        if not gateway.died.is_set():
            await bounded(self._log_out(client), _LOGOUT_S, "logging out")
        await client.close()

    async def _log_out(self, client: SessionClient) -> None:
        # A gateway whose session was taken logs out by itself, and then answers us with 401.
        if (await client.logout() or self._taken) and self._leaseholder.record.session_open:
            self._leaseholder.note(after_logout(self._leaseholder.record))

    async def _log_in(self, gateway: Gateway, credentials: asyncio.Task[Credentials]) -> bool:
        """One login by browser; whether a session of ours before it ended without a logout.

        Raises SessionError or AccountParkedError.
        """
        left_open = await self._parts.logins.log_in(self._account, gateway, self._leaseholder, credentials)
        self._lifetime = Lifetime(datetime.now(UTC))
        return left_open

    async def _stream(self, gateway: Gateway, session: str) -> StreamEnd:
        """One websocket's life."""
        link = Link(
            url=gateway.websocket_url,
            ssl=gateway.tls.context,
            cookie=session,
            allow_live=self._parts.config.spec.accounts.allow_live,
        )
        end = await self._streamer.stream(link)
        self._parts.metrics.streams_ended.labels(reason=end.reason.value).inc()
        return end

    async def _until_relogin(self) -> NoReturn:
        """Raises ReloginDueError when the session is to be replaced, and others have what it streams if any can."""
        parts = self._parts
        relogin = Relogin(
            parts.status,
            appointment=self._appointment,
            owes=lambda: self._streamer.owes,
            holds=parts.holds_contracts,
            is_streaming=parts.is_streaming,
            news=parts.news,
        )
        await relogin.until_due()
        raise ReloginDueError

    def _appointment(self) -> Appointment:
        if self._lifetime is None:  # a session that a login before ours has left in the gateway: of unknown age
            self._lifetime = Lifetime(datetime.now(UTC))
        found = appointment(self._lifetime, self._parts.config.spec.accounts.region, self._account.index)
        # While the login page refuses every account, a session that streams is not given up for a new one.
        return found if self._parts.logins.pool.trouble is None else Appointment(found.latest, found.latest)

    def _data_age_s(self) -> float:
        last = self._streamer.last_tick
        return time.time() - last if last is not None else float("inf")

    def _on_alive(self, said: Alive) -> None:
        if self._lifetime is not None:
            self._lifetime = self._lifetime.heard(said.sso_expires_ms, datetime.now(UTC))


async def _forget(credentials: asyncio.Task[Credentials]) -> None:
    """End the reading, if it still goes on; its failure matters only to a login that asks for it."""
    credentials.cancel()
    await asyncio.gather(credentials, return_exceptions=True)
