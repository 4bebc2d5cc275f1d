"""The compacted topic of contracts on a real Kafka: made, written, read, and in nobody's way."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from aiohttp import web
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from component.scripted_gateway import (
    Gateway,
    Worker,
    entry,
    full,
    now_ms,
    send,
    serving,
    smd,
    streaming,
    topics,
    working,
)
from ibfeed_api.feed import Kafka, Topic
from ibfeed_api.shard import Entry
from ibfeed_worker.gateway.pin import PinnedTls
from ibfeed_worker.hours.hours import Hours, Span
from ibfeed_worker.publish import NOBODY, Broker, BrokerError, connect
from ibfeed_worker.reference import Reference
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.session.client import SessionClient
from ibfeed_worker.session.pacing import Budget
from ibfeed_worker.stream import Link
from support import broker as own
from support.contracts_table import contracts_history, contracts_table
from support.kafka_users import EVERY
from support.stream import KAFKA

CONID = 640_000_001


def client(servers: str = KAFKA) -> Broker:
    return connect(Kafka(bootstrap_servers=servers), NOBODY, "energy-0", lambda *_: None, 1_000_000)


@pytest.fixture
def topic() -> Iterator[Topic]:
    """A name of its own; whatever was made of it is deleted."""
    topic = Topic(name=f"test-contracts-{uuid.uuid4().hex[:8]}", partitions=3)
    yield topic
    kafka = admin()
    for future in kafka.delete_topics([topic.name], operation_timeout=10).values():
        future.exception(10)


def admin(servers: str = KAFKA) -> AdminClient:
    """What it was asked for ends with it."""
    return AdminClient({"bootstrap.servers": servers, "log_level": 2})


def make(topic: Topic, **config: str) -> None:
    wanted = NewTopic(topic.name, num_partitions=topic.partitions, config=config)
    kafka = admin()
    kafka.create_topics([wanted])[topic.name].result(10)


def test_a_table_is_made_written_and_read(topic: Topic) -> None:
    kafka = client()
    for _ in range(2):  # whoever comes second finds it there
        kafka.provide_table(topic, create=True)
    resource = ConfigResource(ResourceType.TOPIC, topic.name)
    looking = admin()
    found = looking.describe_configs([resource])[resource].result(10)
    assert found["cleanup.policy"].value == "compact"
    kafka.write_table(topic, [(conid % 3, str(conid).encode(), b'{"n":1}') for conid in range(1, 8)])
    kafka.write_table(topic, [(1, b"1", b'{"n":2}'), (2, b"2", None)])
    expected = {str(conid).encode(): b'{"n":1}' for conid in range(3, 8)} | {b"1": b'{"n":2}'}
    assert kafka.read_table(topic) == expected
    assert contracts_table(topic.name) == {int(key): msgspec.json.decode(value) for key, value in expected.items()}
    assert len(contracts_history(topic.name)) == 9
    kafka.abandon()


@pytest.mark.parametrize(
    ("partitions", "config", "create", "says"),
    [
        (None, {}, False, "createTopics is false: create it with cleanup.policy=compact, or allow it"),
        (5, {"cleanup.policy": "compact"}, True, "it has 5 partitions, the feed says 3"),
        (3, {}, True, "its cleanup.policy is delete: set it to compact"),
        (3, {"cleanup.policy": "compact,delete"}, True, ""),
    ],
)
def test_a_topic_that_is_not_for_this_is_refused(
    topic: Topic, partitions: int | None, config: dict[str, str], create: bool, says: str
) -> None:
    if partitions is not None:
        make(Topic(name=topic.name, partitions=partitions), **config)
    kafka = client()
    expected = pytest.raises(BrokerError, match=says) if says else contextlib.nullcontext()
    with expected:
        kafka.provide_table(topic, create=create)
    kafka.abandon()


def test_a_kafka_that_is_away_is_named() -> None:
    with pytest.raises(BrokerError, match=r"^127\.0\.0\.1:1: "):
        client("127.0.0.1:1").provide_table(Topic(name="contracts"), create=True)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[own.Broker]:
    """A Kafka that asks for rights, and grants them where nothing is said."""
    broker = own.Broker(
        tmp_path,
        settings={
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
        },
    )
    yield broker
    broker.kill()


def grant(servers: str, topic: str, *operations: AclOperation) -> None:
    """These and no others; what Kafka has no rule for is granted, so there is one for somebody else."""
    rules = [("User:somebody", AclOperation.READ), *(("User:ANONYMOUS", operation) for operation in operations)]
    kafka = admin(servers)
    wanted = [
        AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, who, "*", operation, AclPermissionType.ALLOW)
        for who, operation in rules
    ]
    for future in kafka.create_acls(wanted).values():
        future.result(10)


def grant_all(servers: str, topic: str) -> None:
    every = AclBindingFilter(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, EVERY, EVERY, AclOperation.ANY, AclPermissionType.ANY
    )
    kafka = admin(servers)
    for future in kafka.delete_acls([every]).values():
        future.result(10)


@contextlib.asynccontextmanager
async def ticking(begin: int, sent: list[int]) -> AsyncIterator[tuple[Gateway, Link]]:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+")
        await send(socket, full(CONID, begin))
        sent.append(begin)
        while True:
            await send(socket, smd(CONID, sent[-1] + 500, f31=f"{len(sent)}.25"))
            sent.append(sent[-1] + 500)
            if len(sent) % 50 == 0:
                await send(socket, {"topic": "system", "hb": now_ms()})
            await asyncio.sleep(0.02)

    async with serving(script) as served:
        yield served


def reference(worker: Worker, topic: Topic, entries: tuple[Entry, ...]) -> Reference:
    return Reference(
        feed="test",
        worker=0,
        topic=topic,
        create=True,
        broker=lambda: worker.streamer.broker,
        entries=lambda: entries,
        hours=lambda _: Hours.of([Span(time.time() - 3600, time.time() + 3600)]),
        kinds=worker.streamer.market_data_types,
        may_write=lambda: True,
        on_change=worker.changed.set,
    )


def rest() -> SessionClient:
    answer = httpx.Response(200, json={"rules": {"increment": 0.01}})
    tls = PinnedTls(ssl.create_default_context(), "")
    return SessionClient("https://127.0.0.1:5000", tls, Budget(), Metrics(), httpx.MockTransport(lambda _: answer))


async def test_a_missing_right_is_named_and_stops_no_ticks(guarded: own.Broker) -> None:
    await guarded.start()
    sent: list[int] = []
    with topics(guarded.servers) as kafka:
        async with ticking(now_ms() - 3_000_000, sent) as (_, link), working(kafka) as worker:
            await worker.reachable()
            worker.streamer.obey((entry(CONID, 0),))
            async with streaming(worker, link):
                for operations in ((AclOperation.READ,), (AclOperation.WRITE,), ()):
                    await _lacks_and_gets_rights(worker, guarded.servers, operations)


async def _lacks_and_gets_rights(worker: Worker, servers: str, operations: tuple[AclOperation, ...]) -> None:
    topic = Topic(name=f"contracts-{uuid.uuid4().hex[:8]}", partitions=1)
    client(servers).provide_table(topic, create=True)
    grant(servers, topic.name, *operations)
    keeper = reference(worker, topic, (entry(CONID, 0),))
    keeping = asyncio.create_task(keeper.keep(rest()))
    await worker.until(lambda: keeper.trouble, within=60)
    assert "Topic authorization failed; the workers need Describe, Read and Write" in keeper.trouble
    here = worker.streamer.published.ticks.acknowledged
    await worker.until(lambda: worker.streamer.published.ticks.acknowledged > here + 50, within=30)
    assert worker.streamer.kafka_status().reachable
    assert worker.streamer.published.ticks.failed == 0
    grant_all(servers, topic.name)
    await worker.until(lambda: not keeper.trouble, within=60)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    found = await asyncio.to_thread(contracts_table, topic.name, servers)
    assert {conid: row["min_price_increment"] for conid, row in found.items()} == {CONID: 0.01}
