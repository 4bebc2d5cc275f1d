"""The hot store by the Spark job, on a real Kafka and a real Redis. The tests share one job, and run in this order."""

from __future__ import annotations

import itertools
import random
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from ibfeed_api.records import seq_of
from support import reader_records
from support.hot_store import KEYS, SYMBOLS, held_by, newest_of, ticks_of
from support.own_topics import PARTITIONS, OwnTopics
from support.reader_records import CONID, FakeMessage, change, contract, feed_event
from support.redis import RedisServer
from support.sinks import wait_for
from support.spark import SparkJob
from support.stream import KAFKA
from support.stub_registry import StubRegistry

PASSWORD = "hidden-from-spark-6f2c"
KAFKA_PASSWORD = "hidden-from-the-page-93d1"
PAGES = ("/environment/", "/jobs/", "/executors/", "/SQL/", "/StreamingQuery/", "/api/v1/applications")
tick = partial(reader_records.tick, price="71.25")  # Avro has no zeros at the end of a fraction
LIMIT_S = 120.0  # of one wait; with two busy cores a batch takes a second


@pytest.fixture(scope="module", autouse=True)
def now() -> Iterator[None]:
    """Records are of now: the hot store keeps no others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader_records, "AT_MS", int(time.time() * 1000) - 10_000)
        yield


@pytest.fixture(scope="module")
def registry() -> Iterator[StubRegistry]:
    with StubRegistry() as registry:
        yield registry


@pytest.fixture(scope="module")
def own(registry: StubRegistry) -> Iterator[OwnTopics]:
    """Topics with records in JSON and in Avro, by turns."""
    with OwnTopics(registry=registry.url) as own:
        yield own


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that forgets all when it is killed."""
    users = ["user default on nopass ~* &* +@all", f"user writer on >{PASSWORD} ~ibfeed:* +@all"]
    with RedisServer(tmp_path_factory.mktemp("redis"), users, durable=False) as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def job(
    own: OwnTopics, registry: StubRegistry, server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SparkJob]:
    folder = tmp_path_factory.mktemp("spark")
    properties = folder / "client.properties"
    properties.write_text(f'sasl.jaas.config=Login required username="u" password="{KAFKA_PASSWORD}";\n')
    own.write([contract(), *ticks_of([0], 1)])
    with SparkJob(
        folder,
        kafka=KAFKA,
        feed="energy",
        topics=own.topics,
        redis=server.url,
        options={"redis-user": "writer", "kafka-properties": str(properties), "schema-registry": registry.url},
        secrets={"REDIS_PASSWORD": PASSWORD},
    ) as job:
        job.await_query()
        yield job


def test_first_start_reads_what_has_not_expired(job: SparkJob, client: redis.Redis) -> None:
    wait_for(lambda: held_by(client) == newest_of(ticks_of([0], 1)), "the ticks from before the start", LIMIT_S)


def test_shuffled_replay_overwrites_nothing_newer(own: OwnTopics, job: SparkJob, client: redis.Redis) -> None:
    messages = ticks_of([0, 60, 120], 40)
    truth = newest_of(messages)
    own.write(messages)
    wait_for(lambda: held_by(client) == truth, "the newest values arrive", LIMIT_S)
    replay = [*messages, *messages]
    random.Random(7).shuffle(replay)
    stale = []
    for start in range(0, len(replay), 120):
        own.write(replay[start : start + 120])
        stale += [found for found in [held_by(client)] if found != truth]
    # A partition is read in order: when its last record has arrived, all before it were read.
    last = [
        tick(200, conid=conid, symbol=symbol, epoch=reader_records.EPOCH + 120) for conid, symbol in SYMBOLS.items()
    ]
    own.write(last)
    wait_for(lambda: held_by(client) == newest_of(last), "the last records arrive", LIMIT_S)
    assert stale == []


def test_units_book_and_status_are_those_of_the_plain_sink(own: OwnTopics, job: SparkJob, client: redis.Redis) -> None:
    own.write([change("snapshot", 1, bids=[("71.90", "3")], asks=[("71.95", "4")])])
    own.write([change("delta", 2, bids=[("71.85", "2"), ("71.9", "0")]), feed_event("session", detail="ready")])
    wait_for(lambda: client.hget(KEYS.book("CLZ6"), "reason") == "delta", "the book arrives", LIMIT_S)
    wait_for(lambda: client.hget(KEYS.status("energy-0"), "detail") == "ready", "the status arrives", LIMIT_S)
    book: list[Any] = client.hmget(KEYS.book("CLZ6"), "known", "bids", "currency")
    assert [book[0], msgspec.json.decode(book[1]), book[2]] == ["1", [["71.85", "2"]], "USD"]
    assert client.hget(KEYS.tick(SYMBOLS[CONID]), "multiplier") == "1000"


def test_contract_that_comes_later_gives_its_units(own: OwnTopics, job: SparkJob, client: redis.Redis) -> None:
    conid, symbol, counts = CONID + 1, SYMBOLS[CONID + 1], itertools.count(300)
    own.write([contract(conid=conid, symbol=symbol)])

    def has_units() -> bool:
        own.write([tick(next(counts), conid=conid, symbol=symbol, epoch=reader_records.EPOCH + 120)])
        return client.hget(KEYS.tick(symbol), "currency") == "USD"

    wait_for(has_units, "the units arrive", LIMIT_S)


def test_passwords_are_on_no_page_and_in_no_argument(job: SparkJob) -> None:
    shown = job.log()
    for page in PAGES:
        with urllib.request.urlopen(job.ui + page, timeout=30) as response:
            shown += response.read().decode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        shown += process.read_text(errors="replace") if process.exists() else ""
    assert "spark.app.name" in shown
    assert PASSWORD not in shown
    assert KAFKA_PASSWORD not in shown


def test_killed_job_goes_on_where_it_was(own: OwnTopics, job: SparkJob, server: RedisServer) -> None:
    messages = ticks_of([180], 200)
    writer = threading.Thread(target=write_slowly, args=(own, messages), daemon=True)
    writer.start()
    with server.client() as client:
        begun = seq_of(reader_records.EPOCH + 180, 20)
        wait_for(lambda: any(int(seq) > begun for seq, _ in held_by(client).values()), "it writes", LIMIT_S)
    job.kill()
    before = batches(job)
    writer.join()
    deleted = [tick(count, symbol=SYMBOLS[CONID], epoch=reader_records.EPOCH + 200) for count in range(1, 11)]
    own.write(deleted)
    delete_partition(own, CONID % PARTITIONS)
    # The contracts of that partition have nothing else left.
    last = [
        tick(1, conid=conid, symbol=symbol, epoch=reader_records.EPOCH + 210)
        for conid, symbol in SYMBOLS.items()
        if conid % PARTITIONS == CONID % PARTITIONS
    ]
    own.write(last)
    server.restart()
    job.start()
    with server.client() as client:
        truth = newest_of([*messages, *last])
        wait_for(lambda: held_by(client) == truth, "all is there again", LIMIT_S)
    job.await_query(2)
    wait_for(lambda: len(batches(job)) > len(before), "a batch is told", LIMIT_S)
    assert batches(job)[len(before)] > max(before), "it did not go on from its checkpoint"
    told = wait_for(lambda: re.search(r"at least (\d+) records are missing", job.log()), "the hole is told", LIMIT_S)
    assert int(told[1]) >= len(deleted)


def test_redis_that_forgot_all_is_filled_again(own: OwnTopics, job: SparkJob, server: RedisServer) -> None:
    with server.client() as client:
        before = held_by(client)
    assert len(before) == len(SYMBOLS)
    server.restart()
    news = tick(2, symbol=SYMBOLS[CONID], epoch=reader_records.EPOCH + 210)  # the other contracts are quiet
    own.write([news])
    with server.client() as client:
        wait_for(lambda: held_by(client) == before | newest_of([news]), "quiet contracts are there, too", LIMIT_S)


def write_slowly(own: OwnTopics, messages: list[FakeMessage]) -> None:
    for start in range(0, len(messages), 12):
        own.write(messages[start : start + 12])
        time.sleep(0.05)


def delete_partition(own: OwnTopics, partition: int) -> None:
    """Have Kafka delete all ticks of a partition, as its retention would."""
    place = TopicPartition(own.topics.ticks or "", partition, -1)
    admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
    for done in admin.delete_records([place]).values():
        done.result(20)


def batches(job: SparkJob) -> list[int]:
    """The numbers of the batches that the job has told of."""
    return [int(number) for number in re.findall(r"batch (\d+): \d+ records in", job.log())]
