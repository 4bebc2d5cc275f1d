"""ClickHouse's engine on a real Kafka: what is written, what comes again, what is latest, what is refused.

The engine is that of the chdb project, behind ClickHouse's own listeners; ``docs/clickhouse.md`` says what it is not.
"""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ibfeed
from ibfeed.clickhouse import ClickHouseRefusedError, Server, findings, read_categories
from ibfeed.clickhouse.migration import Step
from ibfeed_api.records import TOPIC_CONTRACTS, TOPIC_TICKS
from ibfeed_platform.categories import codec
from ibfeed_platform.categories.rows import to_record, to_rows
from support.categories import BATCHES, BY_TOPIC, RECORDS, ROOT, TOPICS
from support.clickhouse_latency import measured
from support.clickhouse_store import SCHEMAS, Store, message
from support.reader_records import EPOCH, FakeMessage, Kind, change, contract, feed_event, headers, tick, tombstone
from support.stream import KAFKA

KINDS: tuple[Kind, ...] = ("delta", "snapshot", "clear")
BEGINNING = dt.datetime.fromtimestamp(0, dt.UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("clickhouse"))
    try:
        store.start()
        yield store
    finally:
        store.close()


@pytest.fixture(autouse=True)
def trouble(request: pytest.FixtureRequest) -> Iterator[None]:
    """Forget what the test before was refused."""
    yield
    if "store" in request.fixturenames:
        request.getfixturevalue("store").run("TRUNCATE TABLE {db}.rejected")


# The rows.


@pytest.mark.parametrize("topic", TOPICS)
def test_rows_are_those_of_the_platform(store: Store, topic: str) -> None:
    category = BY_TOPIC[topic]

    @BATCHES
    @given(st.lists(RECORDS[topic], min_size=40, max_size=60))
    def check(records: list[Any]) -> None:
        found = [codec.decode(msgspec.json.encode(record)) for record in records]
        for record in found if topic == TOPIC_CONTRACTS else ():
            record["conid"] += 10**12  # so that they tell no unit of the other topics' records
        written = store.write(*(message(topic, codec.encode(one), conid=one.get("conid", 0)) for one in found))
        store.settle()
        rows = store.category_rows(category, [one.place for one in written])
        assert len(rows) == len(found)
        for record, one in zip(found, written, strict=True):
            assert rows[one.place] == to_rows(category, topic, record, None)
            assert codec.encode(to_record(category, topic, rows[one.place])) == one.value

    check()
    assert store.one("SELECT count() FROM {db}.rejected") == 0


@pytest.mark.parametrize("contract_first", [True, False])
def test_prices_have_the_contract_s_currency(store: Store, *, contract_first: bool) -> None:
    conid = 71 if contract_first else 72
    told = [contract(conid=conid), tick(1, conid=conid), change("snapshot", 1, bids=[("71.89", "1")], conid=conid)]
    for one in told if contract_first else reversed(told):
        store.write(one)
        store.settle()
    units = "SELECT price_unit, size_unit FROM {db}.%s WHERE instrument_id = " + str(conid)
    for view in ("market_tick", "order_book", "latest_tick", "latest_book"):
        assert store.rows(units % view) == [{"price_unit": "USD", "size_unit": "contracts"}]


def test_headers_and_keys_that_came_later_are_no_obstacle(store: Store) -> None:
    value = codec.encode(codec.decode(tick(1, conid=73).value() or b"") | {"added_later": {"deep": [1, None]}})
    store.write(FakeMessage(TOPIC_TICKS, b"73", value, [*tick().headers(), ("later", b"\xff")]))
    store.settle()
    (row,) = store.rows("SELECT * FROM {db}.market_tick WHERE instrument_id = 73")
    row = {name: row[name] for name in ("record_epoch", "record_worker", "record_schema")}
    assert row == {"record_epoch": EPOCH, "record_worker": "energy-0", "record_schema": "ticklast/2"}


def test_tombstone_of_a_contract_is_no_error(store: Store) -> None:
    store.write(contract(conid=74), tombstone(74), contract(conid=75))
    store.settle()
    found = store.rows("SELECT instrument_id FROM {db}.latest_contract WHERE instrument_id IN (74, 75) ORDER BY 1")
    assert found == [{"instrument_id": 74}, {"instrument_id": 75}]
    assert store.one("SELECT count() FROM {db}.rejected") == 0


# What is latest.


def random_ticks(draw: random.Random, first: int) -> Iterator[FakeMessage]:
    """Ticks of five instruments over several epochs, with copies, and with ticks that an old worker sends late."""
    epochs = {conid: [EPOCH + first] for conid in range(80, 85)}
    for count in range(1, 120):
        conid = draw.choice(list(epochs))
        if draw.random() < 0.1:
            epochs[conid].append(epochs[conid][-1] + draw.randint(1, 3))
        one = tick(
            count, conid=conid, epoch=epochs[conid][-1], price=f"{draw.randint(-9, 99)}.{draw.randint(0, 999):03}"
        )
        yield one
        if draw.random() < 0.1:
            yield one
        if draw.random() < 0.2:  # later by its time and its seq
            yield tick(2**23 + count, conid=conid, epoch=EPOCH - 1)


def random_changes(draw: random.Random, first: int) -> Iterator[FakeMessage]:
    """Changes of three books over several epochs, with holes, copies, and changes that an old worker sends late."""
    epochs: dict[int, int] = {}
    for count in range(1, 150):
        conid = draw.randint(90, 92)
        new = conid not in epochs or draw.random() < 0.05
        epochs[conid] = epochs.get(conid, EPOCH + first) + new
        (kind,) = draw.choices(KINDS, [0, 1, 1] if new else [12, 2, 1])
        sides = [
            [(f"{base + draw.randint(0, 5)}.50", str(draw.randint(kind == "snapshot", 3))) for _ in range(3)]
            for base in (70, 76)
        ]
        bids, asks = ([], []) if kind == "clear" else (dict(side).items() for side in sides)
        number = 1000 * count if new or draw.random() < 0.02 else numbers[conid] + 1
        numbers[conid] = number
        one = change(kind, number, bids=bids, asks=asks, conid=conid, epoch=epochs[conid])
        yield one
        if draw.random() < 0.1:
            yield one
        if draw.random() < 0.1:
            yield change("snapshot", 2**23, bids=[("1.50", "9")], conid=conid, epoch=EPOCH - 1)


def ends(first: int) -> Iterator[FakeMessage]:
    """Books that end in each way: known, lost by a hole, cleared, known again after a hole, changed after a clear."""
    ways: dict[int, list[tuple[int, Kind]]] = {
        93: [(1, "snapshot"), (2, "delta")],
        94: [(1, "snapshot"), (2, "delta"), (4, "delta")],
        95: [(1, "snapshot"), (2, "clear")],
        96: [(1, "snapshot"), (3, "delta"), (5, "snapshot"), (6, "delta")],
        97: [(1, "snapshot"), (2, "clear"), (3, "delta")],
    }
    for conid, records in ways.items():
        for number, kind in records:
            bids = [] if kind == "clear" else [(f"{number}.5", "1")]
            yield change(kind, number, bids=bids, conid=conid, epoch=EPOCH + first)


numbers: dict[int, int] = {}  # of the last change of each book


def compare_latest(store: Store) -> None:
    """Compare the views with what the package's own reader makes of the same topics."""
    ticks, books = {}, {}
    for event in ibfeed.read(KAFKA, topics=store.topics, start=BEGINNING, until="now", skip_unreadable=True):
        if isinstance(event, ibfeed.Tick) and 80 <= event.conid < 90:
            ticks[event.conid] = (event.seq, event.event_time, event.exact("price"), list(event.flags))
        if isinstance(event, ibfeed.Book) and 90 <= event.conid < 100:
            known = event.seq, event.reason, list(event.exact_bids), list(event.exact_asks)
            books[event.conid] = known if event.known else None
    found = store.rows("SELECT * FROM {db}.latest_tick WHERE instrument_id BETWEEN 80 AND 89")
    assert {one["instrument_id"]: (one["seq"], one["event_time"], one["price"], one["flags"]) for one in found} == ticks
    shown = {}
    for one in store.rows("SELECT * FROM {db}.latest_book WHERE instrument_id BETWEEN 90 AND 99"):
        known = one["seq"], one["reason"], one["bids"], one["asks"]
        shown[one["instrument_id"]] = known if one["known"] else None
        assert one["known"] or (known[2:] == ([], []) and one["reason"] in ("clear", "lost"))
    assert shown == books


def test_latest_is_right_while_the_stream_runs_and_after_a_replay(store: Store) -> None:
    draw = random.Random(8)
    store.write(contract(conid=80), feed_event("alive"))
    for first in range(0, 90, 30):
        store.write(*random_ticks(draw, first), *random_changes(draw, first), *ends(first))
        store.settle()
        compare_latest(store)
    counted = {view: store.one(f"SELECT count() FROM {{db}}.{view}") for view in BY_TOPIC_VIEWS}
    for table in BY_TOPIC_VIEWS:
        store.run(f"SYSTEM STOP MERGES {{db}}.{table}_rows")
    whole = store.one("SELECT sum(cityHash64(* EXCEPT inserted_time)) FROM {db}.market_tick")
    store.read_again()
    store.settle()
    for table in BY_TOPIC_VIEWS:
        assert store.one(f"SELECT count() FROM {{db}}.{table}_rows") > counted[table]
        store.run(f"SYSTEM START MERGES {{db}}.{table}_rows")
    assert {view: store.one(f"SELECT count() FROM {{db}}.{view}") for view in BY_TOPIC_VIEWS} == counted
    assert store.one("SELECT sum(cityHash64(* EXCEPT inserted_time)) FROM {db}.market_tick") == whole
    compare_latest(store)


BY_TOPIC_VIEWS = [category.category for category in BY_TOPIC.values()]


def test_latest_of_a_table_that_came_later_is_filled(store: Store) -> None:
    store.write(tick(1, conid=86, epoch=EPOCH), tick(2, conid=86, epoch=EPOCH))
    store.settle()
    for name in ("market_tick_latest", "market_tick_latest_fill", "order_book_heads"):
        store.run(f"DROP TABLE {{db}}.{name}")
    store.server.apply(store.layout)
    compare_latest(store)


def test_latencies_are_measured_while_the_stream_runs(store: Store) -> None:
    store.write(tick(1, conid=87))
    store.settle()  # the test before has changed tables, so Kafka still waits for the former consumers
    found = measured(store, rate=50, seconds=4.0)
    assert found.seen
    assert found.written
    assert min(found.written + found.seen) >= 0


def test_queries_of_the_documentation_run(store: Store) -> None:
    (text,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "clickhouse.md").read_text(), re.DOTALL)
    queries = [query for query in text.replace("ibfeed.", "{db}.").split(";\n") if query.strip()]
    assert len(queries) == 3
    for query in queries:
        store.rows(query)


# Crashes.


def test_kill_9_loses_and_doubles_nothing(store: Store) -> None:
    before = store.one("SELECT count() FROM {db}.market_tick")
    store.write(*(tick(count, conid=100) for count in range(1, 3001)), wait=False)
    store.until(f"SELECT count() > {before} FROM {{db}}.market_tick")
    store.engine.kill()
    store.write(*(tick(count, conid=101) for count in range(1, 3001)))
    store.engine.start()
    store.engine.kill()  # before Kafka has given it the partitions again
    store.engine.start()
    store.settle()
    found = "SELECT count() AS rows, uniqExact(instrument_id, seq) AS ticks FROM {db}.market_tick"
    assert store.rows(f"{found} WHERE instrument_id IN (100, 101)") == [{"rows": 6000, "ticks": 6000}]
    latest = store.rows("SELECT size FROM {db}.latest_tick WHERE instrument_id IN (100, 101)")
    assert [one["size"] for one in latest] == [3000, 3000]


# What does not stay, and what is refused.


def test_rows_stay_for_their_time(store: Store) -> None:
    day = 86_400_000
    now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    late = 4_300_000_000_000  # in 2106, after the last second that a DateTime holds
    for conid, at in ((110, now), (111, now - 89 * day), (112, now - 91 * day), (113, late)):
        store.write(tick(1, conid=conid), at_ms=at)
    store.settle()
    for table in ("market_tick_rows", "market_tick_latest"):
        store.run(f"OPTIMIZE TABLE {{db}}.{table} FINAL")
    for view in ("market_tick", "latest_tick"):
        found = store.rows(
            f"SELECT instrument_id FROM {{db}}.{view} WHERE instrument_id BETWEEN 110 AND 119 ORDER BY 1"
        )
        assert [one["instrument_id"] for one in found] == [110, 111, 113]


BROKEN = {
    b"{": "not as its schema says",
    b"[1]": "not as its schema says",
    b'{"symbol": "CLZ6"}': "conid has no value",
    b'{"price": "dear"}': "price is no decimal of 38 digits, 18 after the point: dear",
    b'{"price": 0.1234567890123456789}': "price is no decimal",
    b'{"price": 123456789012345678901}': "price is no decimal",
    b'{"price": null}': "price has no value",
    b'{"seq": 9223372036854775808}': "seq is no whole number of 64 bits",
    b'{"seq": 1.5}': "seq is no whole number of 64 bits",
    b'{"flags": null}': "not as its schema says",
}


def test_broken_records_are_counted_and_stop_nothing(store: Store) -> None:
    good = codec.decode(tick(1, conid=120).value() or b"")
    values = [
        value if value in (b"{", b"[1]", b'{"symbol": "CLZ6"}') else codec.encode(good | codec.decode(value))
        for value in BROKEN
    ]
    told = headers(SCHEMAS[TOPIC_TICKS], "energy-0", EPOCH)
    bad = [FakeMessage(TOPIC_TICKS, b"120", value, told) for value in values]
    bad += [
        FakeMessage(TOPIC_TICKS, b"120", tick(1, conid=120).value(), []),
        tick(1, conid=120, schema="ticklast/9"),
        message(TOPIC_CONTRACTS, b'{"conid": 1, "trading_hours": [[1]]}', conid=1),
    ]
    written = store.write(*bad, tick(7, conid=120))
    store.settle()
    found = store.rows("SELECT topic, kafka_partition, kafka_offset, problem FROM {db}.rejected FINAL")
    problems = {(one["topic"], one["kafka_partition"], one["kafka_offset"]): one["problem"] for one in found}
    expected = [
        *BROKEN.values(),
        "no header worker",
        "schema ticklast/9 is not known: upgrade ibfeed",
        "symbol has no value",
    ]
    for one, sent, why in zip(written, bad, expected, strict=False):
        assert why in problems.pop((store.names[sent.topic()], *one.place))
    assert problems == {}
    assert store.rows("SELECT size FROM {db}.market_tick WHERE instrument_id = 120") == [{"size": 7}]
    seen = store.server.observe(store.layout, {})
    causes = [one.cause for one in findings(store.layout, seen, read_categories(store.layout))]
    assert [cause for cause in causes if cause.startswith("13 records could not be stored: ")]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {db}.market_tick_rows (symbol) VALUES ('x')",
        "ALTER TABLE {db}.market_tick_rows DELETE WHERE 1",
        "DROP TABLE {db}.market_tick_rows",
        "TRUNCATE TABLE {db}.market_tick_latest",
        "SELECT * FROM {db}.market_tick_queue SETTINGS stream_like_engine_allow_direct_select = 1",
        "SELECT * FROM {db}.latest_book",
        "SELECT * FROM {db}.rejected",
    ],
)
def test_reader_of_ticks_may_do_nothing_else(store: Store, statement: str) -> None:
    team = Server(store.engine.access("team"))
    for view in ("market_tick", "latest_tick", "contract", "latest_contract", "feed_event"):
        team.rows(f"SELECT * FROM `{store.layout.database}`.{view} LIMIT 1")
    with pytest.raises(ClickHouseRefusedError, match="Not enough privileges"):
        team.run(Step(statement.replace("{db}", store.layout.database)))
    team.close()
