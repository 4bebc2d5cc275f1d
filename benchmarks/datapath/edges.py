"""What cannot live in virtual time, and what takes its place: the gateway's process, the browser, the kernel's timer.

The gateway is the simulator's, served by the same loop over real TLS; a login posts the page's form to it as the
browser would. ``edges_of`` gives them to a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any, Final, NamedTuple, cast
from unittest import mock

import aiohttp
from aiohttp import web
from confluent_kafka import KafkaError

from datapath.virtual_time import Clock, Outside
from ibfeed_api.feed import Kafka
from ibfeed_simulator.gateway import proxy, upstream
from ibfeed_simulator.gateway.conf import Configuration
from ibfeed_simulator.gateway.cookies import CookieStore
from ibfeed_simulator.gateway.proxy import Proxy
from ibfeed_simulator.gateway.upstream import Upstream
from ibfeed_worker.edges import Edges
from ibfeed_worker.gateway.keeper import StartGateway
from ibfeed_worker.gateway.pin import PinnedTls, pin
from ibfeed_worker.gateway.process import GatewaySettings
from ibfeed_worker.login.page import Outcome, Result, Seen, result_of
from ibfeed_worker.publish import KafkaCredentials, broker, publisher
from ibfeed_worker.publish.broker import Delivered, Headers, Hear, QueueFullError
from ibfeed_worker.publish.schema_registry import Schemas

START_S: Final = 2.0  # of a gateway's process
LOGIN_S: Final = 4.0  # of a browser
_PAGE_LIMIT_S: Final = 20.0
_POLL_S: Final = 0.5  # virtual seconds between a worker's looks at Kafka's answers
_IDLE_S: Final = 10.0
_CHECK_S: Final = 600.0  # between two looks at a Kafka that takes records: each takes real time
_ROOM: Final = 40  # records of a worker while Kafka is away: some minutes
_current: ContextVar[NearGateway] = ContextVar("gateway")


class NearGateway:
    """A gateway in this process; to the worker it is one of its own."""

    tls: PinnedTls

    def __init__(self, configuration: Configuration, tls: ssl.SSLContext) -> None:
        port = configuration.port
        self.url: Final = f"https://127.0.0.1:{port}"
        self.websocket_url: Final = f"wss://127.0.0.1:{port}/v1/api/ws"
        self.login_url: Final = f"https://127.0.0.1:{port}/"
        self.pid: Final = 0
        self.died: Final = asyncio.Event()
        self.sick: Final = asyncio.Event()  # by what it logs: never
        self.complaint = ""
        self.tail = f"Open https://localhost:{port} to login"
        cookies = CookieStore()
        self._upstream = Upstream(configuration, cookies, tls)
        self._proxy = Proxy(configuration, self._upstream, cookies)
        self._runner = web.AppRunner(
            self._proxy.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        self._port = port
        self._certificate = configuration.certificate
        self._ending: asyncio.Task[None] | None = None

    async def listen(self, fingerprint: str) -> None:
        _current.set(self)  # for all that its server and its own calls start
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.load_cert_chain(self._certificate)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=own).start()
        self.tls = await pin("127.0.0.1", self._port, fingerprint)

    def crash(self) -> None:
        """As a process that is killed: every connection is cut."""
        if self._ending is None:
            self.tail = "killed"
            for connection in self._runner.server.connections if self._runner.server else ():
                if connection.transport is not None:
                    connection.transport.abort()
            self._ending = asyncio.create_task(self._end())
            self.died.set()

    async def stop(self) -> None:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)
        self.died.set()

    async def _end(self) -> None:
        await self._proxy.close()
        await self._runner.cleanup()
        await self._upstream.close()


def _exit_as_told() -> None:
    """In place of the process's end; whoever calls this goes no further."""
    _current.get().crash()
    raise aiohttp.ClientConnectionError("the gateway was killed")


async def _start(
    certificate: Path, fingerprint: str, tls: ssl.SSLContext, settings: GatewaySettings, *_: Any
) -> NearGateway:
    """What it would say line by line, nobody hears."""
    await asyncio.sleep(START_S)
    configuration = Configuration(remote=settings.upstream, port=settings.port, certificate=certificate)
    gateway = NearGateway(configuration, tls)
    await gateway.listen(fingerprint)
    return gateway


async def _log_in(
    on_form: Callable[[str], None],
    *_: Any,
    url: str,
    username: str,
    password: str,
    submit_wait_s: float,
    may_submit: Callable[[], Awaitable[None]],
    **__: Any,
) -> Result:
    """A login as the browser does it, without the browser. ``on_form`` hears whose form is sent."""
    await asyncio.sleep(LOGIN_S)
    trusting_itself = aiohttp.TCPConnector(ssl=False)  # it is the same process
    try:
        async with (
            asyncio.timeout(_PAGE_LIMIT_S + submit_wait_s),
            aiohttp.ClientSession(connector=trusting_itself) as session,
        ):
            async with session.get(url) as page:
                if page.status != 200 or 'type="password"' not in await page.text():
                    return Result(outcome=Outcome.PAGE_UNREACHABLE, text=f"the page answered {page.status}")
            await asyncio.sleep(submit_wait_s)
            await may_submit()
            on_form(username)
            form = {"username": username, "password": password, "paperSwitch": "on"}
            form["typedAgo"] = str(round(submit_wait_s * 1000))
            async with session.post(f"{url}sso/Dispatcher", data=form) as answer:
                text = await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        return Result(outcome=Outcome.PAGE_UNREACHABLE, text=type(error).__name__)
    return result_of(_seen(text)) or Result(outcome=Outcome.TIMED_OUT)


def _seen(html: str) -> Seen:
    """The venue's page as a browser would see it."""
    error = re.search(r'class="(?:xyz-errormessage|alert alert-danger margin-top-10)">([^<]*)<', html)
    return Seen(
        body=html,
        errors=(unescape(error[1]),) if error and error[1] else (),
        second_factor='id="twofactbase"' in html,
        form='type="password"' in html,
    )


class _NoSwitch:
    """No timer of the kernel: its time is the real one."""

    def arm(self, at: float) -> None:
        """Nothing can hang here: the loop that would is the one that makes time pass."""

    def disarm(self) -> None: ...


class KafkaEdge:
    """Where the workers' records leave the virtual time; the clock waits for Kafka's answers.

    ``away_until`` (elapsed): till then no answer comes, and Kafka's client takes no more than it has room for.
    """

    def __init__(self, clock: Clock, outside: Outside) -> None:
        self.clock: Final = clock
        self.outside: Final = outside
        self.away_until = 0.0
        self.producers: list[Any] = []
        outside.look = self.look

    def look(self) -> None:
        """Hear Kafka's answers at once: the worker's own looks wait for the clock, which waits for them."""
        for producer in list(self.producers):
            producer.poll()
            if producer.over and not len(producer._producer):
                self.producers.remove(producer)

    def broker(self) -> type[broker._Confluent]:
        edge = self

        class Near(broker._Confluent):
            kept: list[_Record] | None = None  # while Kafka is away
            over = False

            def __init__(
                self, kafka: Kafka, who: KafkaCredentials, client: str, hear: Hear, batch_size: int, *, trusted: str
            ) -> None:
                super().__init__(kafka, who, client, hear, batch_size, trusted, Schemas())
                edge.producers.append(self)

            def produce(
                self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers, delivered: Delivered
            ) -> None:
                record = _Record(topic, partition, key, value, headers, delivered)
                if self.kept is None and (away := edge.away_until - edge.clock.elapsed) > 0:
                    self.kept = []
                    asyncio.get_running_loop().call_later(away, self.return_)
                if self.kept is None:
                    self.send(record)
                elif len(self.kept) < _ROOM:
                    self.kept.append(record)
                else:
                    raise QueueFullError

            def return_(self) -> None:
                kept, self.kept = self.kept or [], None
                for record in kept:
                    self.send(record)

            def send(self, record: _Record) -> None:
                edge.outside.sent()
                try:
                    super().produce(*record[:-1], partial(edge.told, record.delivered))
                except Exception:
                    edge.outside.answered()
                    raise

            def abandon(self) -> None:
                kept, self.kept = self.kept, None if self.kept is None else []
                for record in kept or ():
                    record.delivered(KafkaError(KafkaError._PURGE_QUEUE), _Purged(record.value))
                super().abandon()
                self.over = True

        return Near

    def told(self, delivered: Delivered, error: Any, message: Any) -> None:
        delivered(error, message)
        self.outside.answered()


class _Purged(NamedTuple):
    """As the client library's message of a record that it gives back."""

    raw: bytes

    def value(self) -> bytes:
        return self.raw


class _Record(NamedTuple):
    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: Headers
    delivered: Delivered


def _unheard(_: str) -> None:
    """Nobody counts the forms."""


def edges_of(
    kafka: KafkaEdge,
    certificate: Path,
    fingerprint: str,
    upstream_tls: ssl.SSLContext,
    on_form: Callable[[str], None] = _unheard,
) -> Edges:
    """Return a worker's edges in virtual time. ``on_form``: hears whose login form is sent."""
    near = kafka.broker()
    return Edges(
        start_gateway=cast("StartGateway", partial(_start, certificate, fingerprint, upstream_tls)),
        log_in=partial(_log_in, on_form),
        switch=_NoSwitch,
        connecting=lambda trusted: partial(near, trusted=trusted),
    )


@contextlib.contextmanager
def paced() -> Iterator[None]:
    """Have Kafka looked at as seldom as virtual time needs, and the simulated gateway end without its process."""
    replaced: list[tuple[object, str, object]] = [
        (publisher, "_POLL_S", _POLL_S),
        (publisher, "_IDLE_S", _IDLE_S),
        (publisher, "_SWEEP_S", _IDLE_S),
        (publisher, "CHECK_S", _CHECK_S),
        (proxy, "exit_as_told", _exit_as_told),
        (upstream, "exit_as_told", _exit_as_told),
    ]
    with contextlib.ExitStack() as stack:
        for where, name, instead in replaced:
            stack.enter_context(mock.patch.object(where, name, instead))
        yield
