"""A scripted gateway: TLS with an expired certificate, binary frames, and a test that says what to send when."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import ssl
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from confluent_kafka.admin import AdminClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ibfeed_api.feed import Kafka, Topic, Topics
from ibfeed_api.shard import Entry, EntryState
from ibfeed_worker.hours.hours import Hours
from ibfeed_worker.publish import Connect, ReadSecrets, connect, no_secrets
from ibfeed_worker.stream import Link, SessionFacts, StreamEnd, Streamer, Timing
from support import entries
from support.stream import KAFKA

PARTITIONS = 4
SYSTEM = {"topic": "system", "success": "user", "isFT": False, "isPaper": True}
QUICK = Timing(connect=5.0, first_frame=2.0, heartbeat=2.0, tic=0.3)


@dataclass
class Gateway:
    """``script`` is the life of one websocket; what the client says is in ``said``."""

    script: Callable[[Gateway, web.WebSocketResponse], Any]
    url: str = ""
    cookies: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    said_before_system: list[str] = field(default_factory=list)
    greeted: bool = False
    connections: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self.cookies.append(request.headers.get("Cookie", ""))
        life = asyncio.create_task(self.script(self, socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    (self.said if self.greeted else self.said_before_system).append(message.data)
                    self.news.set()
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
        return socket

    async def greet(self, socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(0.05)
        self.greeted = True
        await send(socket, SYSTEM)
        await send(socket, {"topic": "act", "args": {"accounts": ["DU123"], "isPaper": True}})
        await send(socket, {"topic": "sts", "args": {"connected": True, "authenticated": True, "competing": False}})

    async def hears(self, text: str, times: int = 1) -> None:
        async with asyncio.timeout(10):
            while sum(said.startswith(text) for said in self.said) < times:
                self.news.clear()
                await self.news.wait()


async def send(socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
    await socket.send_bytes(json.dumps(message, separators=(",", ":")).encode())


def smd(conid: int, at: int, **fields: str) -> dict[str, Any]:
    """``f31="71.90"`` is field 31."""
    named = {name.removeprefix("f"): value for name, value in fields.items()}
    return {
        "server_id": "q0", "conidEx": str(conid), "conid": conid, "_updated": at, "6119": "q0", **named,
        "topic": f"smd+{conid}",
    }  # fmt: skip


def full(conid: int, at: int, price: str = "71.90") -> dict[str, Any]:
    return smd(conid, at, f31=price, f7059="3", f84="71.89", f88="1,300", f86="71.91", f85="7", f6509="RB")


def certificate() -> tuple[bytes, bytes]:
    """PEM of a certificate like the gateway's own (expired, no name of a host), and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Client Portal Web API")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime(2014, 5, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2019, 5, 1, tzinfo=dt.UTC))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return signed.public_bytes(serialization.Encoding.PEM), secret


def pinned(certificate_pem: bytes) -> ssl.SSLContext:
    """Trusts this very certificate and nothing else, whatever its dates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=certificate_pem.decode())
    context.verify_flags |= ssl.VerifyFlags(0x200000 | 0x80000)  # no check of time, a partial chain will do
    return context


@contextlib.asynccontextmanager
async def serving(script: Callable[[Gateway, web.WebSocketResponse], Any]) -> AsyncIterator[tuple[Gateway, Link]]:
    """The gateway on a free port, and the link to it."""
    pem, key = certificate()
    gateway = Gateway(script)
    application = web.Application()
    application.router.add_get("/v1/api/ws", gateway.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cert.pem").write_bytes(pem + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(Path(folder) / "cert.pem")
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    gateway.url = f"wss://127.0.0.1:{port}/v1/api/ws"
    try:
        yield gateway, Link(gateway.url, pinned(pem), "bb665d0f55b6289d70bc7380089fc96f")
    finally:
        await runner.cleanup()


def entry(conid: int, slot: int, epoch: int = 1, state: EntryState = EntryState.ACTIVE) -> Entry:
    """Nobody had it before its first epoch."""
    facts: dict[str, Any] = {"symbol": "CLZ6", "contract_month": "202612", "slot": slot}
    return entries.entry(conid, epoch=epoch, state=state, fresh=epoch == 1, **facts)


@contextlib.contextmanager
def topics(servers: str = KAFKA) -> Iterator[Kafka]:
    """Settings with topics of our own, which the feeder creates; they are deleted at the end."""
    mark = uuid.uuid4().hex[:8]
    kafka = Kafka(
        bootstrap_servers=servers,
        topics=Topics(
            ticklast=Topic(name=f"test-ticks-{mark}", partitions=PARTITIONS),
            l2_data=Topic(name=f"test-depth-{mark}", partitions=1),
            feed_events=Topic(name=f"test-events-{mark}", partitions=1),
        ),
    )
    try:
        yield kafka
    finally:
        names = [kafka.topics.ticklast.name, kafka.topics.l2_data.name, kafka.topics.feed_events.name]
        admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
        for future in admin.delete_topics(names, operation_timeout=10).values():
            future.exception(10)


class Worker:
    """A feeder and what it told its shell."""

    def __init__(
        self,
        kafka: Kafka,
        timing: Timing | None,
        connect: Connect,
        hours: Callable[[Entry], Hours] | None = None,
        read_secrets: ReadSecrets = no_secrets,
    ) -> None:
        self.sessions: list[SessionFacts] = []
        self.changed = asyncio.Event()
        self.streamer = Streamer(
            worker="test-0",
            feed="test",
            kafka=kafka,
            lines=100,
            on_change=self.changed.set,
            may_write=lambda: True,
            on_session=self.sessions.append,
            hours=hours,
            timing=timing,
            read_secrets=read_secrets,
            connect=connect,
        )

    async def until(self, ask: Callable[[], Any], within: float = 15.0) -> None:
        async with asyncio.timeout(within):
            while not ask():
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), 0.05)

    async def reachable(self) -> None:
        await self.until(lambda: self.streamer.kafka_status().reachable)


@contextlib.asynccontextmanager
async def working(
    kafka: Kafka,
    timing: Timing | None = None,
    connect: Connect = connect,
    hours: Callable[[Entry], Hours] | None = None,
    read_secrets: ReadSecrets = no_secrets,
) -> AsyncIterator[Worker]:
    worker = Worker(kafka, timing, connect, hours, read_secrets)
    await worker.streamer.start()
    worker.streamer.obey(())
    try:
        yield worker
    finally:
        await worker.streamer.close()


@contextlib.asynccontextmanager
async def streaming(worker: Worker, link: Link) -> AsyncIterator[asyncio.Task[StreamEnd]]:
    life = asyncio.create_task(worker.streamer.stream(link))
    try:
        yield life
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
