"""ClickHouse's tables over changes: upgrades, settings, the command line, the sink. On the engine and a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ibfeed import Error
from ibfeed.cli.main import app
from ibfeed.clickhouse import ClickHouseRefusedError, Layout
from ibfeed_platform.sinks import clickhouse
from ibfeed_platform.sinks.clickhouse import ClickHouseSettings, ClickHouseSink
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.source import KafkaSource
from support.clickhouse import ADMIN, PASSWORD
from support.clickhouse_store import Store
from support.ports import free_port
from support.reader_records import FakeMessage, contract, tick
from support.stream import KAFKA

COLLECTION = (
    f"""<named_collections><secured><kafka_broker_list>{KAFKA}</kafka_broker_list></secured></named_collections>"""
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("clickhouse"), more=COLLECTION)
    try:
        store.start()
        yield store
    finally:
        store.close()


# Upgrades.


def test_apply_adds_what_is_missing_and_reading_goes_on(store: Store) -> None:
    store.write(contract(), tick(1))
    store.settle()
    for name in ("market_tick_ingest", "market_tick_store", "market_tick_latest_fill", "latest_tick"):
        store.run(f"DROP TABLE {{db}}.{name}")
    store.run("ALTER TABLE {db}.market_tick_rows DROP COLUMN volume_state")
    store.write(tick(2))
    done = store.server.apply(store.layout)
    assert done == [
        "market_tick_rows: column volume_state added",
        "latest_tick: made",
        "the way from Kafka is made again",
    ]
    assert store.server.apply(store.layout) == []
    store.settle()
    found = store.rows("SELECT size, volume_state FROM {db}.market_tick ORDER BY seq")
    assert found == [{"size": 1, "volume_state": None}, {"size": 2, "volume_state": "live"}]


@pytest.fixture
def apart(store: Store) -> Iterator[Layout]:
    """A database whose Kafka does not answer. A consumer that has just joined a group would hold up each change."""
    layout = replace(store.layout, database=f"{store.layout.database}_apart", servers=f"127.0.0.1:{free_port()}")
    store.server.apply(layout)
    yield layout
    store.run(f"DROP DATABASE {layout.database} SYNC")


def test_other_time_to_stay_is_taken_over(store: Store, apart: Layout) -> None:
    layout = replace(apart, ttl_days=5)
    done = store.server.apply(layout)
    told = store.rows("SELECT name, engine_full FROM system.tables WHERE database = '" + layout.database + "'")
    kept = {one["name"] for one in told if "TTL" in one["engine_full"]}
    assert kept == {one["name"] for one in told if "toIntervalDay(5)" in one["engine_full"]}
    assert kept == {name for name in kept if f"{name}: rows stay 5 days" in done}
    assert len(kept) == 7
    assert store.server.apply(layout) == []


def test_topic_that_is_no_longer_wanted_is_no_longer_read(store: Store, apart: Layout) -> None:
    fewer = replace(apart, topics=replace(store.topics, events=None))
    assert store.server.apply(fewer) == ["the way from Kafka is made again"]
    left = store.rows(f"SELECT name FROM system.tables WHERE database = '{fewer.database}' AND name LIKE 'feed_event%'")
    assert sorted(one["name"] for one in left) == ["feed_event", "feed_event_rows"]
    assert store.server.apply(fewer) == []


def test_tables_of_others_are_left_alone(store: Store) -> None:
    layout = replace(store.layout, database=f"{store.layout.database}_other")
    store.run(f"CREATE DATABASE {layout.database}")
    store.run(f"CREATE TABLE {layout.database}.market_tick_rows (symbol String) ENGINE = Memory")
    with pytest.raises(ClickHouseRefusedError, match="market_tick_rows is there, and ibfeed did not make it"):
        store.server.apply(layout)


def test_column_of_another_type_is_refused(store: Store, apart: Layout) -> None:
    store.run(f"ALTER TABLE {apart.database}.rejected MODIFY COLUMN problem LowCardinality(String)")
    with pytest.raises(ClickHouseRefusedError, match=r"problem is LowCardinality\(String\), and should be"):
        store.server.apply(apart)


def test_records_of_other_feeds_are_left_out(store: Store) -> None:
    layout = replace(store.layout, database=f"{store.layout.database}_metals", group=f"{store.layout.group}-metals")
    layout = replace(layout, feed="metals", collection="secured")
    store.server.apply(layout)
    store.write(tick(1, conid=9, worker="energy-0"), tick(2, conid=9, worker="metals-12"))
    store.until(f"SELECT count() > 0 FROM {layout.database}.market_tick_rows WHERE instrument_id = 9")
    assert store.rows(f"SELECT size FROM {layout.database}.market_tick WHERE instrument_id = 9") == [{"size": 2}]
    assert store.rows(f"SELECT DISTINCT price_unit AS unit FROM {layout.database}.market_tick") == [{"unit": "unknown"}]
    store.run(f"DROP DATABASE {layout.database} SYNC")


# The command line.


@pytest.fixture
def ibfeed(store: Store) -> Callable[..., tuple[int, str]]:
    """The command ``ibfeed clickhouse``, for the database of the store."""
    topics = store.topics
    options = [
        *("--kafka", KAFKA, "--database", store.layout.database, "--group", store.layout.group, "--ttl-days", "90"),
        *("--ticks", topics.ticks or "", "--books", topics.books or "", "--events", topics.events or ""),
        *("--contracts", topics.contracts or ""),
    ]
    variables = {"CLICKHOUSE_URL": store.engine.url, "CLICKHOUSE_USER": ADMIN, "CLICKHOUSE_PASSWORD": PASSWORD}

    def run(*words: str, **more: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["clickhouse", *options, *words], env=variables | more)
        return done.exit_code, str(done.exception) if isinstance(done.exception, Error) else done.output

    return run


def test_command_line_makes_and_checks(store: Store, ibfeed: Callable[..., tuple[int, str]]) -> None:
    store.run("DROP TABLE {db}.latest_book")
    code, text = ibfeed("check")
    assert (code, "PROBLEM: the database is not as it should be: latest_book: made" in text) == (1, True)
    assert ibfeed("apply") == (0, "latest_book: made\n")
    assert ibfeed("apply") == (0, "nothing to do\n")
    store.settle()
    store.until("SELECT countIf(notEmpty(assignments.topic)) = 4 FROM system.kafka_consumers")
    code, text = ibfeed("check")
    assert code == 0, text
    assert [line.split()[0] for line in text.splitlines()] == [
        *("category", "contract", "feed_event", "market_tick", "order_book", "rejected")
    ]
    store.write(FakeMessage("ticklast", b"1", b"{", tick().headers()))
    store.settle()
    code, text = ibfeed("check")
    assert code == 1
    assert "PROBLEM: 1 records could not be stored: " in text
    store.run("TRUNCATE TABLE {db}.rejected")


def test_ddl_of_the_command_line_makes_an_empty_database(store: Store, ibfeed: Callable[..., tuple[int, str]]) -> None:
    code, text = ibfeed("ddl")
    assert code == 0
    other = f"{store.layout.database}_by_hand"
    for statement in text.replace(f"`{store.layout.database}`", f"`{other}`").split(";\n"):
        if statement.strip():
            store.run(statement)
    layout = replace(store.layout, database=other)
    assert store.server.present(layout).engines.keys() == store.server.present(store.layout).engines.keys()
    store.run(f"DROP DATABASE {other} SYNC")


def test_roles_that_cannot_be_made_are_told(ibfeed: Callable[..., tuple[int, str]]) -> None:
    code, text = ibfeed("apply", "--roles")
    assert code == 1
    assert "readonly" in text


# The sink.


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse, "LOOK_S", 0.2)
    monkeypatch.setattr(clickhouse, "PAUSE_S", (0.1, 0.5))


def sink_of(store: Store, password: str = PASSWORD) -> ClickHouseSink:
    settings = ClickHouseSettings(store.engine.url, store.layout.database, ADMIN, password, ttl_days=90)
    return ClickHouseSink(settings, KafkaSource(KAFKA, "", store.topics, store.layout.group))


async def until(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(what())


async def test_sink_tells_progress_and_outlives_a_crash(store: Store, quick: None) -> None:
    sink = sink_of(store)
    task = asyncio.create_task(sink.run())
    try:
        await until(lambda: sink.progress.lag == 0 and sink.progress.error is None, lambda: sink.progress)
        store.write(*(tick(count, conid=31) for count in range(1, 101)))
        await until(lambda: sink.progress.rows >= 100, lambda: sink.progress)
        assert sink.progress.last_event_ms is not None
        store.engine.kill()
        await until(lambda: "does not answer" in (sink.progress.error or ""), lambda: sink.progress)
        assert sink.progress.lag is None
        store.write(tick(101, conid=31))
        store.engine.start()
        await until(lambda: sink.progress.lag == 0 and sink.progress.error is None, lambda: sink.progress)
        assert sink.progress.rows == 101
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_sink_gives_up_a_wrong_password(store: Store, quick: None) -> None:
    with pytest.raises(SinkError, match="check the user and the password") as caught:
        await asyncio.wait_for(sink_of(store, "wrong-secret").run(), 20)
    assert "wrong-secret" not in str(caught.value)
