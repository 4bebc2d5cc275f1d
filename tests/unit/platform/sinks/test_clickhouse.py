"""The sink to ClickHouse: what it tells, what it tries again, what it gives up. ClickHouse is a stand-in."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import ibfeed
from ibfeed import SchemaRegistry
from ibfeed.clickhouse import IN_COLLECTION, ClickHouseRefusedError, ClickHouseUnreachableError, Layout, Observation
from ibfeed.clickhouse.health import KafkaConsumer, Reach, Rows
from ibfeed_platform.sinks import clickhouse
from ibfeed_platform.sinks.clickhouse import ClickHouseSettings, ClickHouseSink
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.source import KafkaSource

SECRET = "correct-horse"
QUEUES = [KafkaConsumer(f"{name}_queue", 1) for name in ("market_tick", "order_book", "feed_event", "contract")]


def seen(done: int, end: int, newest_ms: int | None = None) -> Observation:
    rows = {"market_tick": Rows(done, newest_ms), "contract": Rows(1, 10**13)}
    return Observation(consumers=QUEUES, rows=rows, reach={"ticklast": Reach(done, end)})


class StandIn:
    """A server with a script: what each look shows, or which error it raises. The last one stays."""

    def __init__(self, *script: Observation | Exception, refused: str = "") -> None:
        self.script = list(script)
        self.refused = refused
        self.applied: list[Layout] = []
        self.looks = 0
        self.closed = False

    def apply(self, layout: Layout) -> list[str]:
        if self.refused:
            raise ClickHouseRefusedError(self.refused)
        self.applied.append(layout)
        return []

    def observe(self, _: Layout, __: Mapping[str, str]) -> Observation:
        self.looks += 1
        now = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(now, Exception):
            raise now
        return now

    def latencies(self, _: Layout, __: float) -> list[float]:
        return [120.0]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def sink_on(monkeypatch: pytest.MonkeyPatch) -> Callable[[StandIn], ClickHouseSink]:
    monkeypatch.setattr(clickhouse, "LOOK_S", 0.0)
    monkeypatch.setattr(clickhouse, "PAUSE_S", (0.0, 0.0))

    def make(server: StandIn) -> ClickHouseSink:
        monkeypatch.setattr(clickhouse, "Server", lambda _: server)
        return ClickHouseSink(ClickHouseSettings("http://h:8123", password=SECRET), source())

    return make


def source(**config: str) -> KafkaSource:
    return KafkaSource("kafka:9092", "energy", ibfeed.Topics(), "energy-clickhouse", config)


async def looked(sink: ClickHouseSink, server: StandIn, times: int) -> None:
    """Run the sink for so many looks."""
    task = asyncio.create_task(sink.run())
    for _ in range(20_000):
        if server.looks > times or task.done():
            break
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_layout_is_that_of_the_feed(sink_on: Callable[[StandIn], ClickHouseSink]) -> None:
    server = StandIn(seen(0, 0))
    await looked(sink_on(server), server, 1)
    assert server.applied == [Layout("kafka:9092", feed="energy", group="energy-clickhouse")]
    assert server.closed


async def test_progress_counts_from_the_start_of_the_process(sink_on: Callable[[StandIn], ClickHouseSink]) -> None:
    server = StandIn(seen(100, 120, 7), seen(115, 120, 9))
    sink = sink_on(server)
    assert (sink.progress.rows, sink.progress.lag, sink.progress.last_event_ms) == (0, None, None)
    await looked(sink, server, 3)
    assert (sink.progress.rows, sink.progress.lag, sink.progress.last_event_ms) == (15, 5, 9)
    assert sink.progress.latencies_ms == (120.0,)
    assert sink.progress.last_write_ms is not None
    assert sink.progress.error is None


async def test_lag_that_is_not_known_keeps_the_count(sink_on: Callable[[StandIn], ClickHouseSink]) -> None:
    lost = Observation(consumers=QUEUES, reach_error="Kafka does not answer")
    server = StandIn(seen(10, 10), seen(14, 14), lost)
    sink = sink_on(server)
    await looked(sink, server, 4)
    assert (sink.progress.rows, sink.progress.lag) == (4, None)
    assert "the lag is not known: Kafka does not answer" in (sink.progress.error or "")


async def test_server_that_is_away_is_tried_again_and_told(sink_on: Callable[[StandIn], ClickHouseSink]) -> None:
    away = ClickHouseUnreachableError("ClickHouse does not answer")
    server = StandIn(seen(1, 1), away)
    sink = sink_on(server)
    await looked(sink, server, 3)
    assert sink.progress.error == "ClickHouse does not answer"
    assert sink.progress.lag is None
    assert len(server.applied) >= 2  # it may have come back empty
    server.script = [seen(3, 3)]
    await looked(sink, server, server.looks + 1)
    assert sink.progress.error is None


async def test_changes_that_another_one_made_are_undone(sink_on: Callable[[StandIn], ClickHouseSink]) -> None:
    server = StandIn(Observation(["latest_book: made"]), seen(1, 1))
    await looked(sink_on(server), server, 3)
    assert len(server.applied) == 2


async def test_rejected_records_are_told_and_nothing_fails(sink_on: Callable[[StandIn], ClickHouseSink]) -> None:
    rejected = dataclasses.replace(seen(1, 1), rejected=2, problems=["ticklast[0]@7: it has no header worker"])
    server = StandIn(rejected)
    sink = sink_on(server)
    await looked(sink, server, 2)
    assert sink.progress.error is None
    assert sink.progress.unreadable == 2
    assert sink.progress.unreadable_cause == "ticklast[0]@7: it has no header worker; see table rejected"


@pytest.mark.parametrize(
    ("registry", "avro", "expected"),
    [
        (None, False, ""),
        (SchemaRegistry("http://registry:8081"), False, ""),  # the feed writes JSON again
        (SchemaRegistry("http://registry:8081"), True, "http://registry:8081"),
        (SchemaRegistry("http://registry:8081", "team", SECRET), True, IN_COLLECTION),
    ],
)
async def test_clickhouse_reads_what_the_feed_writes(
    monkeypatch: pytest.MonkeyPatch, registry: SchemaRegistry | None, avro: bool, expected: str
) -> None:
    server = StandIn(seen(0, 0))
    monkeypatch.setattr(clickhouse, "Server", lambda _: server)
    settings = ClickHouseSettings("http://h:8123", collection="kafka")
    await looked(ClickHouseSink(settings, dataclasses.replace(source(), registry=registry, avro=avro)), server, 1)
    assert server.applied[0].registry == expected


def test_a_registry_with_a_password_needs_a_named_collection() -> None:
    it = dataclasses.replace(source(), registry=SchemaRegistry("http://registry", "team", SECRET), avro=True)
    with pytest.raises(SinkError, match="whose format_avro_schema_registry_url holds user and password") as caught:
        ClickHouseSink(ClickHouseSettings("http://h:8123"), it)
    assert SECRET not in str(caught.value)


async def test_refusal_is_for_a_person(sink_on: Callable[[StandIn], ClickHouseSink]) -> None:
    server = StandIn(seen(0, 0), refused="ClickHouse refuses: check the password")
    with pytest.raises(SinkError, match="check the password"):
        await sink_on(server).run()
    assert server.closed


@pytest.mark.parametrize(
    ("settings", "config", "cause"),
    [
        ({"url": "h:8123"}, {}, "must be like http://HOST:8123"),
        ({"url": "http://h", "ttl_days": 0}, {}, "cannot be kept for 0 days"),
        ({"url": "http://h"}, {"sasl.password": SECRET}, "make a named collection in ClickHouse"),
    ],
)
def test_settings_that_cannot_be_carried_out(settings: Any, config: Any, cause: str) -> None:
    with pytest.raises(SinkError, match=cause) as caught:
        ClickHouseSink(ClickHouseSettings(**settings), source(**config))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("protocol", "refused"), [("PLAINTEXT", False), ("SSL", True), ("SASL_SSL", True)])
def test_plain_kafka_needs_no_named_collection(protocol: str, refused: bool) -> None:
    expected = pytest.raises(SinkError, match="named collection") if refused else contextlib.nullcontext()
    with expected:
        ClickHouseSink(ClickHouseSettings("http://h:8123"), source(**{"security.protocol": protocol}))


def test_secured_kafka_is_read_by_a_named_collection() -> None:
    settings = ClickHouseSettings("http://h:8123", password=SECRET, collection="secured")
    ClickHouseSink(settings, source(**{"sasl.password": SECRET}))
    assert SECRET not in repr(settings)
