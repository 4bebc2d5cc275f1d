"""Team computations on a real Kafka and a real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
import redis

from ibfeed_platform.hot_store.acl import acl_lines, user_of
from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.sinks.computation import ComputationSettings, ComputationSink
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.redis import RedisSink
from ibfeed_platform.sinks.redis_settings import RedisSettings
from support import reader_records
from support.own_topics import OwnTopics
from support.reader_records import CONID, FakeMessage, contract, tick
from support.redis import RedisServer, hash_of
from support.sinks import Running, wait_for
from support.stub_registry import StubRegistry

KEYS = Keys("energy")
NEAR, FAR = CONID, CONID + 1
USERS = ["writer sink w-secret", "reader eye r-secret", "team power p-secret", "team gas g-secret"]
PASSWORDS = {line.split()[1]: line.split()[2] for line in USERS}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are of now: computations look at no others."""
    monkeypatch.setattr(reader_records, "AT_MS", int(time.time() * 1000) - 10_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), acl_lines(map(user_of, USERS), KEYS)) as server:
        yield server


@pytest.fixture
def own() -> Iterator[OwnTopics]:
    with OwnTopics() as own:
        yield own


def connected(server: RedisServer, user: str) -> redis.Redis:
    return server.client(user, PASSWORDS[user])


def written(server: RedisServer) -> RedisSettings:
    return RedisSettings(server.url, user="sink", password=PASSWORDS["sink"])


def month(message: FakeMessage, **fields: object) -> FakeMessage:
    """The same record with other fields."""
    value = msgspec.json.decode(message.value() or b"", type=dict[str, msgspec.Raw])
    changed = {**value, **{name: msgspec.Raw(msgspec.json.encode(one)) for name, one in fields.items()}}
    return FakeMessage(message.of_topic, message.of_key, msgspec.json.encode(changed), message.of_headers)


def two_months() -> list[FakeMessage]:
    return [
        month(contract(conid=NEAR, symbol="CLZ6"), contract_month="202612"),
        month(contract(conid=FAR, symbol="CLF7"), contract_month="202701"),
    ]


def traded(count: int, price: str, volume: int, conid: int = NEAR, **more: object) -> FakeMessage:
    symbol = "CLZ6" if conid == NEAR else "CLF7"
    return month(tick(count, conid=conid, symbol=symbol, price=price), volume=volume, **more)


def row(client: redis.Redis, team: str, computation: str, key: str) -> dict[str, str]:
    return hash_of(client, KEYS.row(team, computation, key))


def test_calendar_spread_is_near_minus_far(own: OwnTopics, server: RedisServer) -> None:
    own.write([*two_months(), traded(1, "71.90", 10), traded(1, "71.25", 10, FAR)])
    sink = ComputationSink(ComputationSettings(written(server), "power", "calendar_spreads", every_s=0.2), own.source())
    with Running(sink) as running, connected(server, "power") as client:
        found = wait_for(lambda: row(client, "power", "calendar_spreads", "CLZ6-CLF7"), "the spread")
        assert found["spread"] == "0.65"
        assert found["bid"] == "-0.02"  # 71.89 of the near leg less 71.91 of the far one
        assert found["currency"] == "USD"
        own.write([traded(2, "72.00", 11), traded(2, "71.20", 11, FAR)])
        wait_for(lambda: row(client, "power", "calendar_spreads", "CLZ6-CLF7")["spread"] == "0.8", "the next one")
        assert client.smembers(KEYS.index("power", "calendar_spreads")) == {
            KEYS.row("power", "calendar_spreads", "CLZ6-CLF7")
        }
    assert running.failure is None


def test_a_feed_in_avro_is_computed_once_its_registry_answers(server: RedisServer) -> None:
    with StubRegistry() as registry, OwnTopics(registry=registry.url) as own:
        own.write([*two_months(), traded(1, "70.00", 1000), traded(2, "71.00", 1010), traded(3, "72.00", 1040)])
        registry.stop()
        settings = ComputationSettings(written(server), "gas", "rolling_vwap", every_s=0.2)
        with Running(ComputationSink(settings, own.source())) as running, connected(server, "gas") as client:
            told = wait_for(lambda: running.sink.progress.error, "the failure is told")
            assert f"the schema registry {registry.url} does not answer" in told
            assert "the records wait in Kafka" in told
            registry.start()
            wait_for(lambda: row(client, "gas", "rolling_vwap", "CL").get("ticks") == "2", "the root's row")
            assert float(row(client, "gas", "rolling_vwap", "CL")["vwap"]) == pytest.approx(71.75)
            own.write([FakeMessage("ticklast", b"7", bytes(2), tick(1).of_headers)] * 2)
            wait_for(lambda: running.sink.progress.unreadable == 2, "the broken records are told")
            assert "is not as schema ticklast/2 says" in running.sink.progress.unreadable_cause
            assert running.sink.progress.error is None
    assert running.failure is None


def test_a_previous_close_makes_no_spread(own: OwnTopics, server: RedisServer) -> None:
    closed = month(tick(1, conid=FAR, symbol="CLF7", price="60.00"), flags=["snapshot", "previous_close"])
    own.write([*two_months(), traded(1, "71.90", 10), closed])
    sink = ComputationSink(ComputationSettings(written(server), "gas", "calendar_spreads", every_s=0.2), own.source())
    with Running(sink), connected(server, "gas") as client:
        found = wait_for(lambda: row(client, "gas", "calendar_spreads", "CLZ6-CLF7"), "the row")
        assert "spread" not in found
        assert found["ask"] == "0.02"


def test_vwap_weighs_by_differences_of_the_volume(own: OwnTopics, server: RedisServer) -> None:
    own.write(
        [
            *two_months(),
            traded(1, "70.00", 1000),  # nothing is known before it
            traded(2, "71.00", 1010),  # 10 at 71
            traded(3, "72.00", 1040),  # 30 at 72
            traded(4, "99.00", 1050, flags=["price", "delayed"]),  # no trade of now
            traded(5, "73.00", 1060),  # nothing is known right before it
            traded(1, "80.00", 500, FAR),
            traded(2, "80.00", 520, FAR),  # 20 at 80
        ]
    )
    sink = ComputationSink(ComputationSettings(written(server), "power", "rolling_vwap", every_s=0.2), own.source())
    with Running(sink), connected(server, "power") as client:
        wait_for(lambda: row(client, "power", "rolling_vwap", "CL").get("ticks") == "3", "the root's row")
        found = row(client, "power", "rolling_vwap", "CL")
    assert found["volume"] == "60"
    assert float(found["vwap"]) == pytest.approx((10 * 71 + 30 * 72 + 20 * 80) / 60, abs=1e-6)


def test_own_sql_runs_and_its_rows_expire(own: OwnTopics, server: RedisServer) -> None:
    own.write([*two_months(), traded(1, "71.90", 10)])
    settings = ComputationSettings(
        RedisSettings(server.url, user="sink", password=PASSWORDS["sink"], expiry_s=2.0),
        "power",
        "middle",
        sql="SELECT symbol AS key, (bid + ask) / 2 AS middle, event_time FROM latest",
        every_s=0.2,
    )
    with connected(server, "power") as client:
        with Running(ComputationSink(settings, own.source())) as running:
            found = wait_for(lambda: row(client, "power", "middle", "CLZ6"), "the row")
            assert float(found["middle"]) == pytest.approx(71.90)
            assert wait_for(lambda: running.sink.progress.latencies_ms, "the run is told")[0] < 60_000
        wait_for(lambda: not row(client, "power", "middle", "CLZ6"), "the row expires", 10)


def test_a_query_that_takes_too_long_is_told(own: OwnTopics, server: RedisServer) -> None:
    endless = "SELECT max(a.range * b.range) AS key FROM range(100000) AS a, range(100000) AS b"
    settings = ComputationSettings(written(server), "power", "endless", sql=endless, limit_s=0.3)
    with Running(ComputationSink(settings, own.source())) as running:
        told = wait_for(lambda: running.sink.progress.error, "the failure is told", 20)
    assert "longer than 0.3 s" in told
    assert running.failure is None


def test_each_team_sees_only_its_own_keys(own: OwnTopics, server: RedisServer) -> None:
    own.write([*two_months(), traded(1, "71.90", 10), traded(1, "71.25", 10, FAR)])
    settings = ComputationSettings(written(server), "power", "calendar_spreads", every_s=0.2)
    key = KEYS.row("power", "calendar_spreads", "CLZ6-CLF7")
    with (
        Running(RedisSink(written(server), own.source())) as latest,
        Running(ComputationSink(settings, own.source())) as computed,
        connected(server, "power") as power,
        connected(server, "gas") as gas,
        connected(server, "eye") as eye,
        server.client() as stranger,
    ):
        wait_for(lambda: power.hgetall(key), "the team's row")
        wait_for(lambda: eye.hgetall(KEYS.tick("CLZ6")), "the latest tick")
        refused = (redis.exceptions.NoPermissionError, redis.exceptions.AuthenticationError)
        for forbidden in (
            lambda: gas.hgetall(key),
            lambda: eye.hgetall(key),
            lambda: power.hgetall(KEYS.tick("CLZ6")),
            lambda: power.hset(key, "spread", "0"),
            lambda: power.delete(key),
            power.scan,
            lambda: power.keys("*"),
            power.flushall,
            lambda: eye.set("ibfeed:energy:tick:CLZ6", "0"),
            lambda: stranger.get("x"),
        ):
            with pytest.raises(refused):
                forbidden()
    assert latest.failure is None
    assert computed.failure is None


def test_a_sink_without_rights_says_which(own: OwnTopics, server: RedisServer) -> None:
    own.write([*two_months(), traded(1, "71.90", 10)])
    settings = RedisSettings(server.url, user="power", password=PASSWORDS["power"])
    with Running(RedisSink(settings, own.source())) as running:
        failure = wait_for(lambda: running.failure, "the sink ends")
    assert isinstance(failure, SinkError)
    assert "docs/hot-store.md" in str(failure)
    assert PASSWORDS["power"] not in f"{failure}{settings}"


def test_redis_restarts_and_rows_come_again(own: OwnTopics, tmp_path: Path) -> None:
    own.write([*two_months(), traded(1, "71.90", 10), traded(1, "71.25", 10, FAR)])
    with RedisServer(tmp_path / "redis", durable=False) as server:
        settings = ComputationSettings(RedisSettings(server.url), "power", "calendar_spreads", every_s=0.2)
        with Running(ComputationSink(settings, own.source())):
            for _ in range(2):
                with server.client() as client:
                    wait_for(partial(row, client, "power", "calendar_spreads", "CLZ6-CLF7"), "the row")
                server.restart()
