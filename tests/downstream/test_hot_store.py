"""The hot store on a real Kafka and a real Redis."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
import redis
from confluent_kafka.admin import AdminClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ibfeed
from ibfeed.books import BookBuilder
from ibfeed.records import decode_change, decode_contract
from ibfeed_platform.hot_store.store import HotStore, HotStoreSettings
from ibfeed_platform.hot_store.updates import Latest, Origin, book_update, tick_update
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.redis import RedisSettings, RedisSink
from ibfeed_platform.sinks.source import KafkaSource
from support import reader_records
from support.hot_store import KEYS, SYMBOLS, held_by, newest_of, ticks_of
from support.own_topics import OwnTopics
from support.ports import free_port
from support.reader_records import CONID, FakeMessage, change, contract, feed_event, tick
from support.redis import RedisServer, hash_of
from support.sinks import RedisSinkProcess, Running, wait_for
from support.stream import KAFKA
from support.stub_registry import StubRegistry


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are of now: the hot store keeps no others."""
    monkeypatch.setattr(reader_records, "AT_MS", int(time.time() * 1000) - 10_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def own() -> Iterator[OwnTopics]:
    with OwnTopics() as own:
        yield own


@pytest.fixture
def registry() -> Iterator[StubRegistry]:
    with StubRegistry() as registry:
        yield registry


@pytest.fixture
def mixed(registry: StubRegistry) -> Iterator[OwnTopics]:
    """Topics of a feed whose format was changed: records in JSON and in Avro."""
    with OwnTopics(registry=registry.url) as own:
        yield own


def members_of(group: str) -> list[int]:
    """How many partitions each member of a group has."""
    admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
    described = admin.describe_consumer_groups([group])[group].result(20)
    return sorted(len(member.assignment.topic_partitions) for member in described.members)


def origin(epoch: int = reader_records.EPOCH) -> Origin:
    return Origin(epoch, "energy-0", 0, 0)


# The store alone.


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_repetition_leaves_the_newest(client: redis.Redis, data: st.DataObject) -> None:
    client.flushall()
    updates = [
        Latest(KEYS.tick(symbol), epoch, seq, int(time.time() * 1000), {"epoch": str(epoch), "seq": str(seq)})
        for symbol in ("CLF6", "CLG6")
        for epoch, seq in ((1, 2), (1, 9), (2, 1), (2, 4))
    ]
    given_ = data.draw(st.permutations([*updates, *data.draw(st.lists(st.sampled_from(updates), max_size=6))]))
    store = HotStore(client, HotStoreSettings())
    while given_:
        cut = data.draw(st.integers(1, len(given_)))
        store.write(given_[:cut])
        given_ = given_[cut:]
    assert [client.hmget(KEYS.tick(symbol), "epoch", "seq") for symbol in ("CLF6", "CLG6")] == [["2", "4"]] * 2


def test_a_tick_keeps_ibs_digits_states_and_units(client: redis.Redis) -> None:
    given_ = tick(7, price="-3.10", flags=("price", "previous_close", "delayed"))
    known = decode_contract(contract().value() or b"")
    HotStore(client, HotStoreSettings()).write([tick_update(given_.value() or b"", origin(), known, KEYS)])
    found = hash_of(client, "ibfeed:energy:tick:CLZ6")
    assert found["price"] == "-3.10"
    assert found["price_state"] == "delayed+previous_close"
    assert found["currency"] == "USD"
    assert found["multiplier"] == "1000"
    assert "open_interest" not in found


def test_a_field_that_lost_its_value_is_gone(client: redis.Redis) -> None:
    store, key = HotStore(client, HotStoreSettings()), KEYS.tick("CLZ6")
    at = int(time.time() * 1000)
    store.write([Latest(key, 1, 1, at, {"epoch": "1", "seq": "1", "bid": "5"})])
    store.write([Latest(key, 1, 2, at, {"epoch": "1", "seq": "2"})])
    assert client.hgetall(key) == {"epoch": "1", "seq": "2"}


def test_a_value_expires_by_ibs_time(client: redis.Redis) -> None:
    store, at = HotStore(client, HotStoreSettings(expiry_s=2.0)), int(time.time() * 1000)
    store.write([Latest(KEYS.tick("CLF6"), 1, 1, at - 1000, {"epoch": "1", "seq": "1"})])
    store.write([Latest(KEYS.tick("CLG6"), 1, 1, at - 5000, {"epoch": "1", "seq": "1"})])
    assert 0 < client.pttl(KEYS.tick("CLF6")) <= 1000
    assert not client.exists(KEYS.tick("CLG6"))
    wait_for(lambda: not client.exists(KEYS.tick("CLF6")), "the value expires", 10)
    store.write([Latest(KEYS.tick("CLF6"), 1, 0, at - 2000, {"epoch": "1", "seq": "0"})])
    assert not client.exists(KEYS.tick("CLF6")), "an older value came back in the place of an expired one"


def book_changes(steps: int, dice: random.Random) -> list[FakeMessage]:
    """A snapshot and changes of a book, some of which remove levels."""
    messages = [change("snapshot", 1, bids=[("71.90", "3"), ("71.8", "1")], asks=[("71.95", "4"), ("72.00", "2")])]
    for count in range(2, steps):
        bid, ask = dice.choice(["71.9", "71.90", "71.80", "71.7"]), dice.choice(["71.95", "72.0", "72.00", "72.5"])
        size = str(dice.randrange(4))
        messages.append(change("delta", count, bids=[(bid, size)], asks=[(ask, size)] if count % 2 else []))
    return messages


@pytest.mark.parametrize("seed", range(5))
def test_a_book_is_the_one_that_the_client_rebuilds(client: redis.Redis, seed: int) -> None:
    messages = book_changes(40, random.Random(seed))
    builder = BookBuilder()
    expected = None
    for message in messages:
        expected = builder.apply(decode_change(message.value() or b""), contiguous=True, contract=None)
    store = HotStore(client, HotStoreSettings())
    for start in range(0, len(messages), 7):  # each part comes twice, as after a crash
        part = [book_update(message.value() or b"", origin(), None, KEYS) for message in messages[start : start + 7]]
        store.write(part)
        store.write(part)
    found = hash_of(client, KEYS.book("CLZ6"))
    assert expected is not None
    assert found["known"] == "1"
    assert msgspec.json.decode(found["bids"]) == [[str(price), str(size)] for price, size in expected.exact_bids]
    assert msgspec.json.decode(found["asks"]) == [[str(price), str(size)] for price, size in expected.exact_asks]


def test_a_book_with_a_hole_is_not_known(client: redis.Redis) -> None:
    store = HotStore(client, HotStoreSettings())
    messages = [change("snapshot", 1, bids=[("71.90", "3")]), change("delta", 3, bids=[("71.80", "3")])]
    store.write([book_update(message.value() or b"", origin(), None, KEYS) for message in messages])
    found = client.hmget(KEYS.book("CLZ6"), "known", "reason", "bids")
    assert found == ["0", "lost", "[]"]


# The sink.


@pytest.mark.parametrize("topics", ["own", "mixed"], ids=["JSON", "JSON and Avro"])
def test_a_shuffled_replay_overwrites_nothing_newer(
    topics: str, request: pytest.FixtureRequest, server: RedisServer, client: redis.Redis
) -> None:
    own: OwnTopics = request.getfixturevalue(topics)
    messages = ticks_of([0, 60, 120], 40)
    truth = newest_of(messages)
    dice = random.Random(7)
    own.write([contract()])
    own.write(messages)
    with Running(RedisSink(RedisSettings(server.url), own.source())) as running:
        wait_for(lambda: held_by(client) == truth, "the newest values arrive")
        replay = [*messages, *messages]
        dice.shuffle(replay)
        stale = []
        for start in range(0, len(replay), 60):
            own.write(replay[start : start + 60])
            stale += [found for found in [held_by(client)] if found != truth]
        own.write([feed_event("alive")])
        wait_for(lambda: client.exists(KEYS.status("energy-0")), "the last record arrives")
        wait_for(lambda: running.sink.progress.lag == 0, "nothing is left")
        assert held_by(client) == truth
    assert stale == []
    assert running.failure is None
    assert running.sink.progress.rows >= 3 * len(messages)


def test_records_of_others_and_broken_ones_are_left_out(
    own: OwnTopics, server: RedisServer, client: redis.Redis
) -> None:
    broken = FakeMessage("ticklast", str(CONID).encode(), b"{", tick(1).of_headers)
    avro = FakeMessage("ticklast", str(CONID).encode(), bytes(20), tick(1).of_headers)
    foreign = tick(2, symbol="CLF6", worker="metals-0")
    with Running(RedisSink(RedisSettings(server.url), own.source())) as running:
        own.write([broken])  # alone, so that it is known which one comes first
        wait_for(lambda: "truncated" in running.sink.progress.unreadable_cause, "the broken record is told")
        own.write([avro])
        wait_for(lambda: "name its registry" in running.sink.progress.unreadable_cause, "Avro is told")
        own.write([foreign, tick(1, symbol="CLG6", conid=CONID + 3)])
        wait_for(lambda: client.exists(KEYS.tick("CLG6")), "the record after them arrives")
        progress = running.sink.progress
        assert (progress.unreadable, progress.error) == (2, None), "they stay told, and nothing fails"
        server.restart()  # the window is read again
        wait_for(lambda: running.sink.progress.rows > progress.rows, "all is well again")
        assert running.sink.progress.unreadable == 2, "a record that was read again counts once"
    assert running.failure is None
    assert not client.exists(KEYS.tick("CLF6"))


def test_a_registry_that_is_away_loses_nothing(
    mixed: OwnTopics, registry: StubRegistry, server: RedisServer, client: redis.Redis
) -> None:
    messages = ticks_of([0], 20)
    mixed.write([contract()])  # in Avro
    mixed.write(messages)
    registry.stop()
    with Running(RedisSink(RedisSettings(server.url), mixed.source())) as running:
        told = wait_for(lambda: running.sink.progress.error, "the failure is told")
        assert "the schema registry http://127.0.0.1" in told
        assert "start it, or check its address" in told
        assert "it is tried again, and the records wait in Kafka" in told
        assert running.sink.progress.rows == 0
        registry.start()
        wait_for(lambda: held_by(client) == newest_of(messages), "all is there")
        assert client.hget(KEYS.tick(SYMBOLS[CONID]), "currency") == "USD", "the contract was read, too"
        wait_for(lambda: running.sink.progress.error is None, "all is well again")
        # Each schema is known: the registry is needed no more.
        registry.stop()
        news = ticks_of([60], 2)
        mixed.write(news)
        wait_for(lambda: held_by(client) == newest_of(news), "the next ones arrive")
    assert running.failure is None
    assert running.sink.progress.unreadable == 0


def test_a_registry_that_refuses_ends_the_sink(mixed: OwnTopics, registry: StubRegistry, server: RedisServer) -> None:
    mixed.write([tick(1)])
    registry.status = 401
    with Running(RedisSink(RedisSettings(server.url), mixed.source())) as running:
        failure = wait_for(lambda: running.failure, "the sink ends")
    assert isinstance(failure, SinkError)
    assert "HTTP 401: correct username and password" in str(failure)


def test_kills_of_the_sink_and_of_redis_lose_nothing(own: OwnTopics, tmp_path: Path) -> None:
    messages = ticks_of([0, 60], 120)
    own.write([contract()])
    # This Redis forgets all when it is killed.
    with RedisServer(tmp_path / "redis", durable=False) as server:
        sink = RedisSinkProcess(RedisSettings(server.url), own.source(), tmp_path / "sink.log")
        quarter = len(messages) // 4
        for number in range(4):
            sink.start()
            own.write(messages[number * quarter : (number + 1) * quarter])
            with server.client() as client:
                wait_for(partial(held_by, client), "the sink writes")
            if number % 2:
                server.restart()
            sink.kill()
        # The quiet symbols: nothing of them comes after the last kill.
        server.restart()
        sink.start()
        try:
            with server.client() as client:
                wait_for(lambda: held_by(client) == newest_of(messages), "all is there again")
                server.restart()  # while the sink runs
            with server.client() as client:
                wait_for(lambda: held_by(client) == newest_of(messages), "all is there once more")
        finally:
            sink.kill()


def test_two_sinks_of_a_group_share_the_partitions(own: OwnTopics, server: RedisServer, client: redis.Redis) -> None:
    messages = ticks_of([0], 20)
    settings = RedisSettings(server.url)
    with Running(RedisSink(settings, own.source())) as first:
        with Running(RedisSink(settings, own.source())) as second:
            wait_for(lambda: members_of(own.name) == [4, 5], "each has some of the 9 partitions")
            own.write(messages[: len(messages) // 2])
            wait_for(lambda: held_by(client) == newest_of(messages[: len(messages) // 2]), "the first half arrives")
            assert second.failure is None
        own.write(messages[len(messages) // 2 :])
        wait_for(lambda: held_by(client) == newest_of(messages), "the one that is left goes on")
        wait_for(lambda: first.sink.progress.lag == 0, "nothing is left")
    with Running(RedisSink(settings, own.source())) as third:
        wait_for(lambda: third.sink.progress.rows >= len(messages), "the window is read again")
        assert third.sink.progress.latencies_ms == (), "records that were confirmed before are no measure of latency"


def test_kafka_that_is_away_is_told(server: RedisServer) -> None:
    source = KafkaSource(f"127.0.0.1:{free_port()}", "energy", ibfeed.Topics(), "group")
    with Running(RedisSink(RedisSettings(server.url), source)) as running:
        told = wait_for(lambda: running.sink.progress.error, "the failure is told")
    assert "check the address" in told
    assert running.failure is None


def test_a_wrong_password_ends_the_sink(own: OwnTopics, tmp_path: Path) -> None:
    own.write([tick(1)])
    with RedisServer(tmp_path / "redis", ["user default on >right ~* &* +@all"]) as server:
        sink = RedisSink(RedisSettings(server.url, password="wrong"), own.source())
        with Running(sink) as running:
            failure = wait_for(lambda: running.failure, "the sink ends")
    assert isinstance(failure, SinkError)
    assert "correct user and password" in str(failure)
    assert "wrong" not in str(failure)


def test_an_unknown_topic_ends_the_sink(own: OwnTopics, server: RedisServer) -> None:
    known = own.source()
    source = dataclasses.replace(known, topics=dataclasses.replace(known.topics, ticks=f"{own.name}-none"))
    with Running(RedisSink(RedisSettings(server.url), source)) as running:
        failure = wait_for(lambda: running.failure, "the sink ends")
    assert isinstance(failure, SinkError)
    assert "spec.kafka.topics" in str(failure)
