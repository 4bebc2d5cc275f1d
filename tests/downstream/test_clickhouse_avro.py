"""A feed that writes Avro, in ClickHouse's engine: a real schema registry (Apicurio), and the rows of the JSON feed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed.clickhouse.layout import IN_COLLECTION
from ibfeed_api.records import TOPIC_CONTRACTS, TOPIC_TICKS
from ibfeed_platform.categories import codec
from ibfeed_platform.categories.rows import to_rows
from support.avro_feed import AvroFeed
from support.categories import BATCHES, BY_TOPIC, RECORDS, TOPICS
from support.clickhouse_store import Store, message
from support.forwarder import Forwarder
from support.reader_records import tick
from support.registry import Registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="module")
def away(registry: Registry) -> Iterator[Forwarder]:
    """The way from ClickHouse to the registry, which can be cut."""
    with Forwarder("127.0.0.1", registry.port) as between:
        yield between


@pytest.fixture(scope="module")
def store(registry: Registry, away: Forwarder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    url = registry.url.replace(str(registry.port), str(away.port))
    collection = f"<format_avro_schema_registry_url>{url}</format_avro_schema_registry_url>"
    more = f"<named_collections><secured>{collection}</secured></named_collections>"
    store = Store(tmp_path_factory.mktemp("clickhouse"), more=more, registry=url)
    try:
        store.start()
        store.encode = AvroFeed(registry.url, store.topics).encode
        yield store
    finally:
        store.close()


def rejected(store: Store) -> list[str]:
    return [row["problem"] for row in store.rows("SELECT problem FROM {db}.rejected FINAL ORDER BY kafka_offset")]


def test_registry_that_is_away_loses_no_record(store: Store, away: Forwarder) -> None:
    """ClickHouse's own way would be to take each record for a bad one, and to go on behind it."""
    away.cut()
    store.write(tick(1, conid=70), tick(2, conid=70))
    store.until(
        "SELECT count() > 0 FROM system.kafka_consumers"
        " WHERE arrayExists(text -> text LIKE '%gives no schema: start it%', exceptions.text)"
    )
    assert store.one("SELECT count() FROM {db}.market_tick WHERE instrument_id = 70") == 0
    away.mend()
    store.settle()
    assert store.one("SELECT count() FROM {db}.market_tick WHERE instrument_id = 70") == 2
    assert rejected(store) == []


@pytest.mark.parametrize("topic", TOPICS)
def test_rows_are_those_of_the_json_feed(store: Store, topic: str) -> None:
    category = BY_TOPIC[topic]

    @settings(BATCHES, max_examples=2)
    @given(st.lists(RECORDS[topic], min_size=40, max_size=60))
    def check(records: list[Any]) -> None:
        found = [codec.decode(msgspec.json.encode(record)) for record in records]
        for record in found if topic == TOPIC_CONTRACTS else ():
            record["conid"] += 10**12  # so that they tell no unit of the other topics' records
            record["trading_hours"] = record["trading_hours"] or None  # as workers do
        written = store.write(*(message(topic, codec.encode(one), conid=one.get("conid", 0)) for one in found))
        store.settle()
        rows = store.category_rows(category, [one.place for one in written])
        for record, one in zip(found, written, strict=True):
            assert rows[one.place] == to_rows(category, topic, trimmed(record), None)

    check()
    assert rejected(store) == []


def trimmed(value: Any) -> Any:
    """A record without zeros at the end of fractions, which Avro does not have."""
    if isinstance(value, dict):
        return {key: trimmed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [trimmed(one) for one in value]
    return codec.decode(b'{"x":%s}' % _digits(value))["x"] if type(value).__name__ == "Decimal" else value


def _digits(number: Any) -> bytes:
    whole, _, fraction = f"{number:f}".partition(".")
    fraction = fraction.rstrip("0")
    return (f"{whole}.{fraction}" if fraction else whole).encode()


def test_records_that_are_not_avro_are_rejected_with_the_cause(store: Store) -> None:
    encode, store.encode = store.encode, lambda _, value: value
    try:
        whole = encode(store.names[TOPIC_TICKS], tick(1, conid=71).value()) or b""
        for value in (tick(1, conid=71).value(), whole[:20]):
            store.write(message(TOPIC_TICKS, value, conid=71))
        # Its schema is of nobody: no registry will ever know it. It has no header of a worker, so nothing waits for it.
        store.write(replace(message(TOPIC_TICKS, b"\0\x7f\xff\xff\xffx", conid=71), of_headers=[]))
    finally:
        store.encode = encode
    store.write(tick(2, conid=71))
    store.settle()
    first, second, third = rejected(store)
    assert first == "it is JSON, of before the feed wrote Avro"
    assert second == "it is not as its schema says: avro::Exception: EOF reached"
    assert "schema id = 2147483647" in third
    assert store.one("SELECT count() FROM {db}.market_tick WHERE instrument_id = 71") == 1


def test_url_in_a_named_collection(store: Store) -> None:
    """So a registry that asks for a password can be read: the collection's URL holds it."""
    store.layout = replace(store.layout, collection="secured", registry=IN_COLLECTION)
    assert store.server.apply(store.layout) == ["the way from Kafka is made again"]
    made = store.one("SELECT create_table_query FROM system.tables WHERE name = 'market_tick_queue'")
    assert "registry_url" not in made
    store.write(tick(1, conid=72))
    store.settle()
    assert store.one("SELECT count() FROM {db}.market_tick WHERE instrument_id = 72") == 1
