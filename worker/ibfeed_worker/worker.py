"""The worker's life: wait for an account, take its Lease, read its credentials, start the gateway, log in, check the
session, stream until something is lost, repair or log in again; and on the way out hand the contracts over, then undo
all of it in order."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Final, NoReturn

from ibfeed_api.calls import ResolvedRoot
from ibfeed_api.feed import Region
from ibfeed_api.instrument import Product
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Account, ContractState, Entry, KafkaStatus, Report, Session, ShardStatus
from ibfeed_worker import publish
from ibfeed_worker.account.fence import Fence, KernelSwitch
from ibfeed_worker.account.leaseholder import Leaseholder, acquire_lease
from ibfeed_worker.account.login_record import after_logout, after_loss_to_others
from ibfeed_worker.account.penalty_exchange import PenaltyExchange
from ibfeed_worker.config import Config
from ibfeed_worker.credentials import Credentials, source_of
from ibfeed_worker.errors import AccountParkedError, ReloginDueError, SessionError
from ibfeed_worker.gateway.disk import keep_bounded
from ibfeed_worker.gateway.keeper import GatewayKeeper
from ibfeed_worker.gateway.process import Gateway, GatewaySettings
from ibfeed_worker.http.server import HttpServer
from ibfeed_worker.kube.client import Kube, connect
from ibfeed_worker.kube.secrets import read_secret
from ibfeed_worker.login.attempt import Logins
from ibfeed_worker.publish.secrets import KafkaSecrets, trusted_pem
from ibfeed_worker.reference import Reference
from ibfeed_worker.runtime.backoff import Backoff
from ibfeed_worker.runtime.failures import Failures, PartFailedError, describe
from ibfeed_worker.runtime.log import Log, set_level
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.runtime.stop import Stop
from ibfeed_worker.runtime.tasks import bounded, cancel, first, to_the_end
from ibfeed_worker.session.client import SessionClient
from ibfeed_worker.session.loop import SessionLoop
from ibfeed_worker.session.pacing import Budget
from ibfeed_worker.session.relogin import Relogin
from ibfeed_worker.session.responses import Alive
from ibfeed_worker.session.schedule import Appointment, Lifetime, appointment, reset_window
from ibfeed_worker.session.status import SessionStatus
from ibfeed_worker.session.timetable import Timetable
from ibfeed_worker.shard.status import stamp
from ibfeed_worker.shard.watch import Shard, ShardWatcher, left_behind
from ibfeed_worker.shard.writer import StatusWriter
from ibfeed_worker.stream import Link, SessionFacts, StreamEnd, Streamer
from ibfeed_worker.universe.resolve import CannotAskError, Universe

_GOOD_SESSION_S: Final = 120.0  # a session that streamed, and lasted so long, starts the back-off anew
_LONGEST_PAUSE_S: Final = 300.0  # between logins that lead to nothing
# Seconds for each step of the way out; together they stay below the pod's grace period of 45 s.
_HAND_OVER_S: Final = 15.0  # a hand-over takes one or two
_RELEASE_S: Final = 7.0
_LOGOUT_S: Final = 2.5
_STOP_GATEWAY_S: Final = 3.0
_FREE_LEASE_S: Final = 3.0
_CLOSE_S: Final = 5.0
_STATUS_S: Final = 2.0
_LONGEST_TROUBLE: Final = 1024  # characters that an IbShard's status takes
_log: Final = Log(__name__)


class Worker:
    """One worker process. ``run`` is its whole life."""

    def __init__(self, config: Config, kube: Kube, metrics: Metrics) -> None:
        self._config = config
        self._kube = kube
        self._metrics = metrics
        self._started_at = stamp(time.time()) or ""
        self._shard: Shard | None = None
        self._shard_known = asyncio.Event()
        self._left_behind: Mapping[int, int] = {}
        self._shard_changed = asyncio.Event()
        self._news = asyncio.Event()  # of the shard, of a contract or of the session
        self._relogin_news = asyncio.Event()  # the same, for who waits for it meanwhile
        self._feeder: Streamer | None = None
        self._feeder_ready = asyncio.Event()
        self._fence = Fence(KernelSwitch(), self._on_account_lost)
        self._rest: SessionClient | None = None
        self._conversation: SessionLoop | None = None
        self._streamed = False  # since the latest try began
        self._taken = False  # the websocket has said that somebody else has the session
        self._lifetime: Lifetime | None = None
        self._budget = Budget()
        self._universe = Universe()
        self._timetable = Timetable()
        topics = config.spec.kafka.topics
        self._reference = Reference(
            feed=config.feed,
            worker=config.number,
            topic=topics.contracts,
            create=config.spec.kafka.create_topics,
            broker=lambda: self._feeder.broker if self._feeder is not None else None,
            entries=self._entries_to_ask,
            hours=self._timetable.hours,
            kinds=lambda: self._feeder.market_data_types() if self._feeder is not None else {},
            may_write=self._fence.is_open,
            on_change=self._on_news,
        )
        self._failures = Failures()
        self._writer = StatusWriter(kube, config.pod, self._status)
        self._board = SessionStatus(metrics, self._on_news, self._is_reset)
        self._watcher = ShardWatcher(
            kube, config.pod, self._on_shard, lambda error: self._failures.of_thread("shard", error)
        )
        self._http = HttpServer(self, metrics.registry, shard=config.shard, port=config.http_port)
        self._gateways = GatewayKeeper(
            GatewaySettings(
                folder=config.gateway_folder,
                run_folder=config.run_folder,
                port=config.gateway_port,
                upstream=config.spec.gateway.upstream,
                extra_ca=config.extra_ca,
                certificate=config.spec.gateway.certificate_sha256,
            ),
            metrics,
        )
        credentials = source_of(
            config.spec.accounts,
            namespace=config.namespace,
            read_secret=lambda name: read_secret(kube, name),
            extra_ca=config.extra_ca,
        )
        self._logins = Logins(config, kube, self._board, metrics, credentials)
        logins = config.spec.accounts.logins_lease_name
        self._silence = PenaltyExchange(kube, logins, self._budget, config.node, also=self._logins.pool.hear)

    async def run(self, stop: Stop) -> None:
        """Work until told to stop, then leave in order. Raises PartFailed, which the last status tells."""
        self._failures.listen()
        self._writer.poke()
        self._watcher.start()
        await self._http.start()
        parts = [
            asyncio.create_task(self._tell_status(), name="status"),
            asyncio.create_task(self._prepare_feeder(), name="feeder"),
            asyncio.create_task(self._serve(), name="serve"),
            asyncio.create_task(self._silence.run(), name="silence"),
            asyncio.create_task(keep_bounded(self._config.run_folder / "gateway"), name="disk"),
            asyncio.create_task(self._failures.first(), name="failures"),
        ]
        stopped = asyncio.create_task(self._until_relieved(stop), name="stop")
        failure = ""
        try:
            waiting = {stopped, *parts}
            while not stopped.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    _raise_failure(task)
        except PartFailedError as error:
            failure = str(error)
            raise
        finally:
            await self._leave(parts[0], parts[1:], stopped, failure)

    async def _tell_status(self) -> None:
        await self._shard_known.wait()  # what an earlier process said is read before it is written over
        await self._writer.run()

    async def _until_relieved(self, stop: Stop) -> None:
        """Until we are told to stop and then, while we stream, until others have what we publish.

        The operator sees to that, and makes Retiring what nobody can take over. It may be away, so there is a limit.
        """
        await stop.asked.wait()
        self._board.leave()
        try:
            async with asyncio.timeout(_HAND_OVER_S):
                await first(stop.at_once.wait(), self._while_needed())
        except TimeoutError:
            _log.warning("nobody took all of the contracts over", limit=_HAND_OVER_S)

    async def _while_needed(self) -> None:
        while self._shard is not None and self.is_streaming() and self._feeder is not None and self._feeder.owes:
            self._news.clear()
            await self._news.wait()

    async def _leave(
        self, status: asyncio.Task[None], parts: list[asyncio.Task[None]], stopped: asyncio.Task[None], failure: str
    ) -> None:
        """``failure``: what ended us, if it was not an order."""
        reason = Reason.WORKER_FAILED if failure else Reason.STOPPED
        self._board.say(Session.STOPPING, reason, failure)
        await cancel(*parts, stopped)  # _serve releases, logs out and frees its account on the way
        self._watcher.stop()
        await bounded(self._gateways.close(), _STOP_GATEWAY_S, "stopping the gateway")
        if self._feeder is not None:
            await bounded(self._feeder.close(), _CLOSE_S, "closing Kafka's producer")
        await cancel(status)
        self._board.say(Session.STOPPED, reason, failure)
        if self._shard_known.is_set():
            await bounded(self._writer.write(), _STATUS_S, "writing the last status")
        await bounded(self._http.stop(), 1.0, "closing the HTTP server")

    # The shard.

    def _on_shard(self, shard: Shard | None) -> None:
        if (shard is None) != (self._shard is None):
            _log.info("shard is there" if shard else "shard is gone", shard=self._config.shard)
        if not self._shard_known.is_set():
            self._shard_known.set()
            self._left_behind = left_behind(shard) if shard is not None else {}
        self._shard = shard
        if shard is not None:
            set_level(shard.spec.log_level)
        if shard is not None and self._feeder is not None:
            self._feeder.obey(shard.spec.contracts, shard.spec.lines)
        self._shard_changed.set()
        self._on_news()

    def _on_news(self) -> None:
        self._news.set()
        self._relogin_news.set()
        self._writer.poke()

    def _account(self) -> Account | None:
        """The account that the operator gives us; none if our shard has been deleted."""
        return self._shard.spec.account if self._shard else None

    async def _account_other_than(self, account: Account | None) -> None:
        while self._account() == account:
            self._shard_changed.clear()
            await self._shard_changed.wait()

    def _status(self) -> ShardStatus:
        feeder, shard, board = self._feeder, self._shard, self._board
        reports = feeder.reports() if feeder else self._reports_without_feeder()
        reason, message = board.reason, self._gateways.explained(board.reason, board.message)
        if feeder is not None and self.is_streaming() and not reason and (remark := feeder.remark()) is not None:
            reason, message = remark
        return ShardStatus(
            observed_generation=shard.generation if shard else 0,
            started_at=self._started_at,
            session=board.session,
            reason=reason,
            message=message,
            account=board.account,
            market_data_live=feeder.market_data_live if feeder else None,
            kafka=feeder.kafka_status() if feeder else KafkaStatus(),
            reference=self._reference.trouble[:_LONGEST_TROUBLE],
            contract_count=sum(report.state is ContractState.PUBLISHING for report in reports),
            lines=f"{feeder.lines_used if feeder else 0}/{shard.spec.lines if shard else 0}",
            last_tick_time=stamp(feeder.last_tick) if feeder else None,
            contracts=reports,
        )

    def _reports_without_feeder(self) -> tuple[Report, ...]:
        """What an earlier process published is released, whatever happens to this one before it can do anything."""
        over = ContractState.RELEASED
        return tuple(Report(conid=conid, epoch=epoch, state=over) for conid, epoch in self._left_behind.items())

    # Kafka.

    async def _prepare_feeder(self) -> None:
        """Make the data path, as soon as it is known what an earlier process published. Returns when it runs."""
        await self._shard_known.wait()
        kafka = self._config.spec.kafka
        feeder = Streamer(
            worker=self._config.pod,
            feed=self._config.feed,
            kafka=kafka,
            read_secrets=KafkaSecrets(kafka, self._kube.read_secret).read,
            connect=partial(publish.connect, trusted=await asyncio.to_thread(trusted_pem, self._config.extra_ca)),
            lines=self._config.spec.accounts.lines_per_account,
            on_change=self._on_news,
            may_write=self._fence.is_open,
            left_behind=self._left_behind,
            hours=self._timetable.hours,
            on_session=self._on_session_facts,
        )
        await feeder.start()
        self._metrics.registry.register(feeder.collector)
        self._metrics.registry.register(feeder.kafka_collector)
        self._feeder = feeder
        if self._shard is not None:
            feeder.obey(self._shard.spec.contracts, self._shard.spec.lines)
        self._feeder_ready.set()

    def _on_account_lost(self) -> None:
        if self._feeder is not None:
            self._feeder.cut_off()

    def _on_session_facts(self, facts: SessionFacts) -> None:
        self._taken = self._taken if facts.competing is None else facts.competing
        if facts.authenticated is False or facts.competing is True:
            if self._conversation is not None:
                self._conversation.nudge()
        elif facts.authenticated is True and self._feeder is not None and self._feeder.mute:
            self._board.say(Session.RECONNECTING, Reason.FEED_SILENT, "IB has the session again, but sends nothing yet")
        elif facts.authenticated is True:
            self._streamed = True
            self._board.say(Session.STREAMING)

    # The account.

    async def _serve(self) -> None:
        """For ever: take the account that we are given, use it until it is lost or another one is given."""
        await self._shard_changed.wait()  # until then nothing is known, not even that there is no shard
        while True:
            account = self._account()
            if account is None:
                self._board.serve(None)
                text = "no account is free for this worker" if self._shard else "this worker's IbShard is not there"
                self._board.say(Session.WAITING_FOR_ACCOUNT, Reason.TOO_FEW_ACCOUNTS if self._shard else None, text)
                await self._account_other_than(None)
                continue
            self._board.serve(account.index)
            self._gateways.begin()  # it takes seconds, and needs no account to start
            await first(self._use(account), self._account_other_than(account))

    async def _use(self, account: Account) -> None:
        """Take the account, use it until it is lost or parked, give it back. Returns when it may be tried anew."""

        def wait(why: str) -> None:
            self._board.say(Session.WAITING_FOR_ACCOUNT, Reason.ACCOUNT_HELD, why)

        hold = await acquire_lease(
            self._kube, account.lease, self._config.holder, self._fence, wait, on_end=self._failures.of_task
        )
        sessions = asyncio.create_task(self._sessions(account, hold), name="sessions")
        lost = asyncio.create_task(hold.lost.wait(), name="lease lost")
        parked: AccountParkedError | None = None
        try:
            await asyncio.wait((sessions, lost), return_when=asyncio.FIRST_COMPLETED)
            if not hold.lost.is_set():
                sessions.result()  # it only ever ends by raising
        except AccountParkedError as error:
            parked = error
            self._board.say(Session.PARKED, error.reason, error.message)
        finally:
            await to_the_end(self._give_back(hold, sessions))
            await cancel(lost)
        if parked is not None:
            await self._logins.while_parked(account)

    async def _give_back(self, hold: Leaseholder, sessions: asyncio.Task[NoReturn]) -> None:
        """Release what we stream and log out; then nobody is disturbed when somebody else takes the account."""
        if hold.lost.is_set():
            # Somebody else may take it in a moment: stop at once, nothing is left to be handed over.
            self._metrics.leases_lost.inc()
            _log.error("account lost", lease=hold.why_lost)
            self._board.say(Session.RECONNECTING, Reason.LEASE_LOST, hold.why_lost)
        elif self._feeder is not None and not sessions.done():
            await bounded(self._feeder.release(_RELEASE_S), _RELEASE_S + 1.0, "releasing the contracts")
            await bounded(self._writer.write(), _STATUS_S, "reporting the release")
        await cancel(sessions)
        await bounded(self._gateways.stop(), _STOP_GATEWAY_S, "stopping the gateway")
        await bounded(hold.release(), _FREE_LEASE_S, "freeing the account")

    # Sessions.

    async def _sessions(self, account: Account, hold: Leaseholder) -> NoReturn:
        """One session after the other, with back-off. Raises Parked."""
        if account.used_by:
            await self._logins.while_used_elsewhere(account, hold)
        pause, loop = Backoff(0.5, _LONGEST_PAUSE_S), asyncio.get_running_loop()
        while True:
            begun, self._streamed = loop.time(), False
            try:
                await self._session(account, hold)
            except SessionError as setback:
                if setback.reason is Reason.COMPETING and setback.until is None:
                    setback = await self._yield(setback, hold, lasted=loop.time() - begun)
                if self._streamed and loop.time() - begun > _GOOD_SESSION_S:
                    pause.reset()
                if setback.restart_gateway:
                    await self._gateways.stop()
                await self._back_off(account, setback, pause.next())
            except ReloginDueError:
                pause.reset()

    async def _yield(self, setback: SessionError, hold: Leaseholder, *, lasted: float) -> SessionError:
        """Stay away for a while, which the account's Lease remembers: a new process must not begin to fight."""
        record = after_loss_to_others(
            hold.record,
            now=datetime.now(UTC),
            lasted=timedelta(seconds=lasted),
            first=timedelta(seconds=self._config.spec.accounts.compete_backoff_seconds),
        )
        await hold.write(record)
        return SessionError(setback.reason, setback.message, until=record.next_login)

    async def _back_off(self, account: Account, setback: SessionError, usual: float) -> None:
        now = datetime.now(UTC)
        until = setback.until or now + timedelta(seconds=setback.delay if setback.delay is not None else usual)
        delay = max(0.0, (until - now).total_seconds())
        # Credentials, gateway and session are all gone for now: whatever the reason, nothing streams.
        message = setback.message if delay < 2 else f"{setback.message}; next try at {until:%H:%M:%S} UTC"
        self._board.say(Session.BACKING_OFF, setback.reason, message)
        if setback.reason is Reason.WRONG_CREDENTIALS:
            await first(asyncio.sleep(delay), self._logins.until_corrected(account))
        else:
            await asyncio.sleep(delay)

    async def _session(self, account: Account, hold: Leaseholder) -> NoReturn:
        """From nothing to a streaming session, until it can't go on. Raises Setback or Parked."""
        await self._logins.until_due(account, hold)
        await self._silence.look()
        # A change of a password counts at the next login: credentials are read for one login each.
        credentials = asyncio.create_task(self._logins.read(account, hold), name="credentials")
        try:
            if not self._gateways.is_up:
                self._board.say(Session.STARTING_GATEWAY)
            gateway = await self._gateways.running()
            await self._converse(account, gateway, hold, credentials)
        finally:
            await _forget(credentials)

    async def _converse(
        self, account: Account, gateway: Gateway, hold: Leaseholder, credentials: asyncio.Task[Credentials]
    ) -> NoReturn:
        await self._feeder_ready.wait()
        self._lifetime, self._taken = None, False
        rest = SessionClient(gateway.url, gateway.tls, self._budget, self._metrics, on_penalty=self._silence.punished)
        conversation = SessionLoop(
            rest,
            self._board,
            self._config.spec.accounts,
            log_in=lambda: self._log_in(account, gateway, hold, credentials),
            stream=lambda session: self._stream(gateway, session),
            on_alive=self._on_alive,
            on_address=self._silence.learn,
            data_age_s=self._data_age_s,
        )
        self._rest, self._conversation = rest, conversation
        try:
            await first(
                conversation.run(),
                gateway.died.wait(),
                gateway.sick.wait(),
                self._log_in_anew(account),
                self._timetable.keep(rest, self._entries_to_ask),
                self._logins.note_stream(account, hold, self.is_streaming),
                self._universe.read_on(rest),
                self._reference.keep(rest),
            )
            if gateway.sick.is_set():
                raise SessionError(
                    Reason.GATEWAY_SICK, f"the gateway's log says: {gateway.complaint}", restart_gateway=True
                )
            raise SessionError(Reason.GATEWAY_DIED, f"the gateway ended; it last said: {gateway.tail}")
        except AccountParkedError as parked:
            if hold.record.parked:
                raise
            await self._logins.failed(account, hold, parked.reason, parked.message)  # of the session, not of the login
        finally:
            self._rest = self._conversation = None
            await to_the_end(self._end_conversation(rest, gateway, hold))

    async def _end_conversation(self, rest: SessionClient, gateway: Gateway, hold: Leaseholder) -> None:
        if not gateway.died.is_set():
            await bounded(self._log_out(rest, hold), _LOGOUT_S, "logging out")
        await rest.close()

    async def _log_out(self, rest: SessionClient, hold: Leaseholder) -> None:
        # A gateway whose session was taken logs out by itself, and then answers us with 401.
        if (await rest.logout() or self._taken) and hold.record.session_open:
            hold.note(after_logout(hold.record))

    # The schedule.

    async def _log_in_anew(self, account: Account) -> NoReturn:
        """Raises LogInAnew when the session is to be replaced, and others have what it streams if anybody can."""
        region = self._config.spec.accounts.region
        relogin = Relogin(
            self._board,
            appointment=lambda: self._appointment(region, account.index),
            owes=lambda: self._feeder is not None and self._feeder.owes,
            holds=lambda: self._shard is not None and bool(self._shard.spec.contracts),
            is_streaming=self.is_streaming,
            news=self._relogin_news,
        )
        await relogin.begin()
        raise ReloginDueError

    def _appointment(self, region: Region, account: int) -> Appointment:
        if self._lifetime is None:  # a session that a login before ours has left in the gateway: of unknown age
            self._lifetime = Lifetime(datetime.now(UTC))
        found = appointment(self._lifetime, region, account)
        # While the login page refuses everybody, a session that streams is not given up for a new one.
        return found if self._logins.pool.trouble is None else Appointment(found.latest, found.latest)

    def _is_reset(self) -> bool:
        now = datetime.now(UTC)
        return now in reset_window(self._config.spec.accounts.region, now)

    def _data_age_s(self) -> float:
        last = self._feeder.last_tick if self._feeder is not None else None
        return time.time() - last if last is not None else float("inf")

    def _on_alive(self, said: Alive) -> None:
        if self._lifetime is not None:
            self._lifetime = self._lifetime.heard(said.sso_expires_ms, datetime.now(UTC))

    async def _log_in(
        self, account: Account, gateway: Gateway, hold: Leaseholder, credentials: asyncio.Task[Credentials]
    ) -> bool:
        """One login by browser; whether a session of ours before it ended without a logout.

        Raises Setback or Parked.
        """
        left_open = await self._logins.log_in(account, gateway, hold, credentials)
        self._lifetime = Lifetime(datetime.now(UTC))
        return left_open

    async def _stream(self, gateway: Gateway, session: str) -> StreamEnd:
        """One websocket's life."""
        assert self._feeder is not None  # noqa: S101 - _converse waited for it
        link = Link(
            url=gateway.websocket_url,
            ssl=gateway.tls.context,
            cookie=session,
            allow_live=self._config.spec.accounts.allow_live,
        )
        end = await self._feeder.stream(link)
        self._metrics.streams_ended.labels(reason=end.reason.value).inc()
        return end

    def _entries_to_ask(self) -> tuple[Entry, ...]:
        """Contracts whose trading hours matter now."""
        return self._shard.spec.contracts if self._shard is not None and self.is_streaming() else ()

    # What the HTTP server asks.

    def health(self) -> str:
        return "" if self._watcher.alive else "the shard is not followed any more"

    def is_streaming(self) -> bool:
        return self._board.session is Session.STREAMING

    def is_ready(self) -> bool:
        """Whether contracts can be given to this worker: it has a session, and Kafka acknowledges its records."""
        return self.is_streaming() and self._feeder is not None and self._feeder.kafka_status().reachable is True

    def operator_key(self) -> str | None:
        return self._shard.spec.operator_key if self._shard else None

    async def resolve(self, root: str, months: int, since: date, wanted: Product) -> ResolvedRoot:
        if self._rest is None or not self.is_streaming():
            raise CannotAskError(f"this worker has no session now: {self._board.session.value}")
        return await self._universe.resolve(self._rest, root, months, since, wanted)


async def work(config: Config, stop: Stop) -> None:
    """A worker's whole life, until it is told to stop."""
    config.run_folder.mkdir(mode=0o700, exist_ok=True)
    for browser in config.run_folder.glob("login-*"):  # of a login that died with its container
        shutil.rmtree(browser, ignore_errors=True)
    try:
        await Worker(config, Kube(connect(), config.namespace), Metrics()).run(stop)
    finally:
        shutil.rmtree(config.run_folder, ignore_errors=True)


def _raise_failure(task: asyncio.Task[None]) -> None:
    """Raises PartFailed if the task has failed."""
    try:
        task.result()
    except PartFailedError:
        raise
    except Exception as error:
        raise PartFailedError(describe(task.get_name(), error)) from error


async def _forget(credentials: asyncio.Task[Credentials]) -> None:
    """End the reading, if it still goes on; its failure matters only to a login that asks for it."""
    credentials.cancel()
    await asyncio.gather(credentials, return_exceptions=True)
