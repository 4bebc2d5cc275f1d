"""The text of the statements: their order, their names, their settings."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ibfeed import Topics
from ibfeed.clickhouse import IN_COLLECTION, Layout, ddl
from ibfeed.clickhouse.objects import Kind
from ibfeed.clickhouse.schema import objects

LAYOUT = Layout("kafka:9092", feed="energy")


def test_all_rows_have_their_tables_before_anything_reads_kafka() -> None:
    kinds = [one.kind for one in objects(LAYOUT)]
    first = kinds.index(Kind.INGEST, kinds.index(Kind.VIEW))
    text = ddl(LAYOUT)
    assert first > 0
    for category in ("market_tick", "order_book", "feed_event", "contract"):
        begins = [text.index(f"`{category}_{end}`") for end in ("rows", "store", "queue", "ingest")]
        assert text.index(f"TABLE `ibfeed`.`{category}_rows`") < text.index(f"TABLE `ibfeed`.`{category}_queue`")
        # The view that reads Kafka is the last one: with it the reading begins.
        assert text.index(f"VIEW `ibfeed`.`{category}_reject`") < text.index(f"VIEW `ibfeed`.`{category}_ingest`")
        assert begins


def test_each_statement_stands_alone() -> None:
    statements = ddl(LAYOUT).split(";\n")
    assert len(statements) == len(objects(LAYOUT)) + 2  # the database, and the end
    assert all(one.strip().startswith("CREATE ") for one in statements[:-1])


@pytest.mark.parametrize("left_out", ["ticks", "books", "events"])
def test_topic_that_is_left_out_has_no_tables(left_out: str) -> None:
    fewer = {one.name for one in objects(replace(LAYOUT, topics=replace(Topics(), **{left_out: None})))}
    whole = {one.name for one in objects(LAYOUT)}
    begin = {"ticks": ("market_tick", "latest_tick"), "books": ("order_book", "latest_book"), "events": ("feed_event",)}
    assert whole - fewer == {name for name in whole if name.startswith(begin[left_out])}


def test_tables_of_kafka_are_quick_and_go_on_after_broken_records() -> None:
    queues = [one.text for one in objects(LAYOUT) if one.name.endswith("_queue")]
    assert len(queues) == 4
    for text in queues:
        for setting in (
            "kafka_handle_error_mode = 'stream'",
            "kafka_flush_interval_ms = 100",
            "kafka_broker_list = 'kafka:9092'",
            "input_format_skip_unknown_fields = 1",
        ):
            assert setting in text
    groups = [re.findall(r"kafka_group_name = '([^']+)'", text) for text in queues]
    assert len({group for (group,) in groups}) == 4


@pytest.mark.parametrize(("registry", "told"), [("http://registry:8081", 4), (IN_COLLECTION, 0)])
def test_avro_is_read_with_the_registry_s_schemas(registry: str, told: int) -> None:
    layout = replace(LAYOUT, registry=registry, collection="secured")
    text = "".join(one.text for one in objects(layout))
    assert text.count("format_avro_schema_registry_url = 'http://registry:8081'") == told
    assert text.count("throwIf(") == 4, "a registry that is away must stop the reading"
    assert "JSONEachRow" not in text
    before = {one.name: one.comment for one in objects(replace(layout, registry=""))}
    changed = {one.kind for one in objects(layout) if before[one.name] != one.comment}
    assert changed == {Kind.INGEST}, "no table that holds rows is made again"


def test_named_collection_takes_part_of_the_settings() -> None:
    (queue,) = (one.text for one in objects(replace(LAYOUT, collection="secured")) if one.name == "market_tick_queue")
    assert "ENGINE = Kafka(`secured`)" in queue


def test_names_are_quoted() -> None:
    text = ddl(Layout("kafka:9092", database="a`b", feed="it's", topics=Topics("tick'last")))
    assert "CREATE DATABASE IF NOT EXISTS `a\\`b`" in text
    assert "= 'it\\'s'" in text
    assert "'tick\\'last'" in text


def test_contracts_of_all_feeds_are_stored_for_their_units() -> None:
    wheres = {one.name: "= 'energy'" in one.text for one in objects(LAYOUT) if one.name.endswith("_ingest")}
    assert wheres == {
        "contract_ingest": False,
        "market_tick_ingest": True,
        "order_book_ingest": True,
        "feed_event_ingest": True,
    }


def test_time_to_stay_cannot_wrap_round() -> None:
    ttls = {one.ttl for one in objects(LAYOUT) if one.kind is Kind.STORE}
    assert ttls == {"", "kafka_time + INTERVAL 7 DAY"}  # kafka_time is a DateTime64
    assert [one.name for one in objects(LAYOUT) if one.kind is Kind.STORE and not one.ttl] == ["contract_rows"]


def test_comment_follows_the_text() -> None:
    one, other = objects(LAYOUT), objects(replace(LAYOUT, ttl_days=8))
    changed = {a.name for a, b in zip(one, other, strict=True) if a.comment != b.comment}
    assert changed == {a.name for a in one if a.ttl} | {
        "market_tick_store",
        "order_book_store",
        "feed_event_store",
    }
