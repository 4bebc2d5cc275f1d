"""The worker: it starts its parts, serves the account that it is given, and leaves in order.

Serving is: take the account's Lease, and use it (``account_keeper.py``) until it is lost, parked, or another account is
given. On the way out contracts are handed over first; then all of it is undone, last things first.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ibfeed_api.calls import ResolvedRoot
from ibfeed_api.feed import Region
from ibfeed_api.ib_calendar import reset_window
from ibfeed_api.instrument import Product
from ibfeed_api.log import Log, set_level
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Account, Entry, Session, ShardStatus
from ibfeed_worker.account.failsafe import Failsafe
from ibfeed_worker.account.fence import Fence
from ibfeed_worker.account.penalty_exchange import PenaltyExchange
from ibfeed_worker.account_keeper import STATUS_S, STOP_GATEWAY_S, AccountKeeper
from ibfeed_worker.account_session import SessionParts
from ibfeed_worker.config import Config
from ibfeed_worker.credentials import CredentialSource, source_of
from ibfeed_worker.edges import Edges
from ibfeed_worker.gateway.disk import keep_bounded
from ibfeed_worker.gateway.keeper import GatewayKeeper
from ibfeed_worker.gateway.process import GatewaySettings
from ibfeed_worker.http.server import HttpServer
from ibfeed_worker.kube.client import Kube, connect
from ibfeed_worker.kube.secrets import read_secret
from ibfeed_worker.login.attempt import Logins
from ibfeed_worker.publish.secrets import KafkaSecrets, trusted_pem
from ibfeed_worker.reference import Reference
from ibfeed_worker.runtime.failures import Failures, PartFailedError, describe
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.runtime.stop import Stop
from ibfeed_worker.runtime.tasks import bounded, cancel, first
from ibfeed_worker.session.pacing import Budget
from ibfeed_worker.session.status import SessionStatus
from ibfeed_worker.session.timetable import Timetable
from ibfeed_worker.shard.compose import compose_status
from ibfeed_worker.shard.status import stamp
from ibfeed_worker.shard.watch import Shard, ShardWatcher, left_behind
from ibfeed_worker.shard.writer import StatusWriter
from ibfeed_worker.stream import SessionFacts, Streamer
from ibfeed_worker.universe.resolve import CannotAskError, Universe

if TYPE_CHECKING:
    from ibfeed_worker.recording.frame_recorder import FrameRecorder

# Seconds for each step of the way out: see account_keeper.py.
_HAND_OVER_S: Final = 15.0  # a hand-over takes one or two
_CLOSE_S: Final = 5.0
_EDGES: Final = Edges()
_log: Final = Log(__name__)


class Worker:
    """One worker process. ``run`` is its whole life."""

    def __init__(self, config: Config, kube: Kube, metrics: Metrics, edges: Edges = _EDGES) -> None:
        self._config = config
        self._kube = kube
        self._metrics = metrics
        self._edges = edges
        self._started_at = stamp(time.time()) or ""
        self._shard: Shard | None = None
        self._shard_known = asyncio.Event()
        self._left_behind: Mapping[int, int] = {}
        self._shard_changed = asyncio.Event()
        self._news = asyncio.Event()  # of the shard, of a contract or of the session
        self._relogin_news = asyncio.Event()  # the same, for a nightly login that waits for it meanwhile
        self._streamer: Streamer | None = None
        self._streamer_ready = asyncio.Event()
        self._recorder: FrameRecorder | None = None
        self._fence = Fence(edges.switch(), self._on_account_lost)
        self._failures = Failures()
        self._writer = StatusWriter(kube, config.pod, self._status)
        self._watcher = ShardWatcher(
            kube, config.pod, self._on_shard, lambda error: self._failures.of_thread("shard", error)
        )
        self._http = HttpServer(self, metrics.registry, shard=config.shard, port=config.http_port)
        self._parts = self._make_parts()
        self._failsafe = Failsafe(
            kube,
            me=config.holder,
            namespace=config.namespace,
            spec=lambda: self._shard.spec if self._shard is not None else None,
            fence_is_open=self._fence.is_open,
        )
        self._keeper = AccountKeeper(
            self._parts,
            kube,
            self._fence,
            self._failsafe.calls,
            self._failures,
            streamer=self._ready_streamer,
            report=self._writer.write,
        )

    def _make_parts(self) -> SessionParts:
        config, budget, timetable = self._config, Budget(), Timetable()
        accounts, kafka = config.spec.accounts, config.spec.kafka
        status = SessionStatus(self._metrics, self._on_news, lambda: _is_reset(accounts.region))
        logins = Logins(config, self._kube, status, self._metrics, _credentials(config, self._kube), self._edges.log_in)
        reference = Reference(
            feed=config.feed,
            worker=config.number,
            topic=kafka.topics.contracts,
            create=kafka.create_topics,
            broker=lambda: self._streamer.broker if self._streamer is not None else None,
            entries=self._entries_to_ask,
            hours=timetable.hours,
            kinds=lambda: self._streamer.market_data_types() if self._streamer is not None else {},
            may_write=self._fence.is_open,
            on_change=self._on_news,
        )
        return SessionParts(
            config=config,
            metrics=self._metrics,
            status=status,
            gateways=GatewayKeeper(GatewaySettings.of(config), self._metrics, self._edges.start_gateway),
            logins=logins,
            penalties=PenaltyExchange(
                self._kube, accounts.logins_lease_name, budget, config.node, also=logins.pool.hear
            ),
            budget=budget,
            timetable=timetable,
            universe=Universe(),
            reference=reference,
            entries=self._entries_to_ask,
            holds_contracts=lambda: self._shard is not None and bool(self._shard.spec.contracts),
            news=self._relogin_news,
        )

    async def run(self, stop: Stop) -> None:
        """Work until told to stop, then leave in order. Raises PartFailedError, which the last status tells."""
        self._failures.listen()
        self._writer.poke()
        self._watcher.start()
        await self._http.start()
        parts = [
            asyncio.create_task(self._tell_status(), name="status"),
            asyncio.create_task(self._prepare_streamer(), name="streamer"),
            asyncio.create_task(self._serve(), name="serve"),
            asyncio.create_task(self._parts.penalties.run(), name="silence"),
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
        self._parts.status.leave()
        try:
            async with asyncio.timeout(_HAND_OVER_S):
                await first(stop.at_once.wait(), self._while_needed())
        except TimeoutError:
            _log.warning("contracts are left that no other worker took over", limit=_HAND_OVER_S)

    async def _while_needed(self) -> None:
        while self._shard is not None and self.is_streaming() and self._streamer is not None and self._streamer.owes:
            self._news.clear()
            await self._news.wait()

    async def _leave(
        self, status: asyncio.Task[None], parts: list[asyncio.Task[None]], stopped: asyncio.Task[None], failure: str
    ) -> None:
        """``failure``: what ended us, if it was not an order."""
        reason = Reason.WORKER_FAILED if failure else Reason.STOPPED
        self._parts.status.set(Session.STOPPING, reason, failure)
        await cancel(*parts, stopped)  # _serve releases, logs out and frees its account on the way
        self._watcher.stop()
        await bounded(self._parts.gateways.close(), STOP_GATEWAY_S, "stopping the gateway")
        if self._streamer is not None:
            await bounded(self._streamer.close(), _CLOSE_S, "closing Kafka's producer")
        if self._recorder is not None:
            await bounded(asyncio.to_thread(self._recorder.close), _CLOSE_S, "closing the recording")
        await cancel(status)
        self._parts.status.set(Session.STOPPED, reason, failure)
        if self._shard_known.is_set():
            await bounded(self._writer.write(), STATUS_S, "writing the last status")
        await bounded(self._http.stop(), 1.0, "closing the HTTP server")

    # The shard.

    def _on_shard(self, shard: Shard | None) -> None:
        if (shard is None) != (self._shard is None):
            _log.info("shard is there" if shard else "shard is gone")
        if not self._shard_known.is_set():
            self._shard_known.set()
            self._left_behind = left_behind(shard) if shard is not None else {}
        self._shard = shard
        if shard is not None:
            set_level(shard.spec.log_level)
        if shard is not None and self._streamer is not None:
            self._streamer.obey(shard.spec.contracts, shard.spec.lines)
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
        status = self._parts.status
        return compose_status(
            shard=self._shard,
            started_at=self._started_at,
            session=status,
            explained=self._parts.gateways.explained(status.reason, status.message),
            streamer=self._streamer,
            reference=self._parts.reference.trouble,
            left_behind=self._left_behind,
            key=self._failsafe.key,
        )

    # Kafka.

    async def _prepare_streamer(self) -> None:
        """Make the data path, as soon as it is known what an earlier process published. Returns when it runs."""
        await self._shard_known.wait()
        kafka = self._config.spec.kafka
        streamer = Streamer(
            worker=self._config.pod,
            feed=self._config.feed,
            kafka=kafka,
            read_secrets=KafkaSecrets(kafka, self._kube.read_secret).read,
            connect=self._edges.connecting(await asyncio.to_thread(trusted_pem, self._config.extra_ca)),
            lines=self._config.spec.accounts.lines_per_account,
            on_change=self._on_news,
            may_write=self._fence.is_open,
            left_behind=self._left_behind,
            hours=self._parts.timetable.hours,
            on_session=self._on_session_facts,
        )
        if (folder := self._config.recording_folder) is not None:
            streamer.subscriber.recorder = self._start_recorder(folder)
        await streamer.start()
        self._metrics.registry.register(streamer.collector)
        self._metrics.registry.register(streamer.kafka_collector)
        self._streamer = streamer
        if self._shard is not None:
            streamer.obey(self._shard.spec.contracts, self._shard.spec.lines)
        self._streamer_ready.set()

    def _start_recorder(self, folder: Path) -> FrameRecorder:
        # Imported only here, so that no other worker loads the package of the format.
        from ibfeed_worker.recording.frame_recorder import FrameRecorder
        from ibfeed_worker.recording.metrics import RecorderCollector

        self._recorder = FrameRecorder(folder, self._config.pod, self._config.recording_limit)
        self._recorder.start()
        self._metrics.registry.register(RecorderCollector(self._recorder.counters))
        return self._recorder

    def _on_account_lost(self) -> None:
        if self._streamer is not None:
            self._streamer.cut_off()

    # The account.

    async def _serve(self) -> None:
        """For ever: take the account that we are given, use it until it is lost or another one is given."""
        await self._shard_changed.wait()  # until then nothing is known, not even that there is no shard
        while True:
            account = self._account()
            if account is None:
                self._parts.status.serve(None)
                text = "no account is free for this worker" if self._shard else "this worker's IbShard is not there"
                self._parts.status.set(
                    Session.WAITING_FOR_ACCOUNT, Reason.TOO_FEW_ACCOUNTS if self._shard else None, text
                )
                await self._account_other_than(None)
                continue
            self._parts.status.serve(account.index)
            self._parts.gateways.start_ahead()  # it takes seconds, and needs no account to start
            await first(self._keeper.use(account), self._account_other_than(account))

    async def _ready_streamer(self) -> Streamer:
        await self._streamer_ready.wait()
        assert self._streamer is not None  # noqa: S101 - it is ready
        return self._streamer

    def _on_session_facts(self, facts: SessionFacts) -> None:
        if self._keeper.session is not None:
            self._keeper.session.on_session_facts(facts)

    def _entries_to_ask(self) -> tuple[Entry, ...]:
        return self._shard.spec.contracts if self._shard is not None and self.is_streaming() else ()

    # Asked by the HTTP server.

    def health(self) -> str:
        return "" if self._watcher.alive else "the shard is not followed any more"

    def is_streaming(self) -> bool:
        return self._parts.status.session is Session.STREAMING

    def is_ready(self) -> bool:
        """Whether contracts can be given to this worker: it has a session, and Kafka acknowledges its records."""
        return self.is_streaming() and self._streamer is not None and self._streamer.kafka_status().reachable is True

    def operator_key(self) -> str | None:
        return self._shard.spec.operator_key if self._shard else None

    async def failsafe(self, body: str) -> str:
        return await self._failsafe.member.answer(body)

    async def resolve(self, root: str, months: int, since: date, wanted: Product) -> ResolvedRoot:
        client = self._keeper.session.client if self._keeper.session is not None else None
        if client is None or not self.is_streaming():
            raise CannotAskError(f"this worker has no session now: {self._parts.status.session.value}")
        return await self._parts.universe.resolve(client, root, months, since, wanted)


async def work(config: Config, stop: Stop) -> None:
    """A worker's whole life, until it is told to stop."""
    config.run_folder.mkdir(mode=0o700, exist_ok=True)
    for browser in config.run_folder.glob("login-*"):  # of a login that died with its container
        shutil.rmtree(browser, ignore_errors=True)
    try:
        await Worker(config, Kube(connect(), config.namespace), Metrics()).run(stop)
    finally:
        shutil.rmtree(config.run_folder, ignore_errors=True)


def _credentials(config: Config, kube: Kube) -> CredentialSource:
    return source_of(
        config.spec.accounts,
        namespace=config.namespace,
        read_secret=lambda name: read_secret(kube, name),
        extra_ca=config.extra_ca,
    )


def _is_reset(region: Region) -> bool:
    """Whether IB's servers of the region are being reset just now."""
    now = datetime.now(UTC)
    return now in reset_window(region, now)


def _raise_failure(task: asyncio.Task[None]) -> None:
    """Raises PartFailedError if the task has failed."""
    try:
        task.result()
    except PartFailedError:
        raise
    except Exception as error:
        raise PartFailedError(describe(task.get_name(), error)) from error
