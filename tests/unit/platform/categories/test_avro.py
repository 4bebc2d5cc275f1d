"""Rows go through Avro as fastavro writes it, and become their records again."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_platform.categories.avro import avro
from ibfeed_platform.categories.codec import decode, encode
from ibfeed_platform.categories.rows import to_record, to_rows
from ibfeed_platform.categories.source import Category
from support.categories import ALL, BY_TOPIC, NEWEST, RECORDS, TOPICS, UNHURRIED, rows_of, tick_row
from support.category_versions import grown

SCHEMAS = {category.name: fastavro.parse_schema(json.loads(avro(category))) for category in ALL}


def through(category: Category, row: dict[str, Any]) -> Any:
    stored = io.BytesIO()
    fastavro.schemaless_writer(stored, SCHEMAS[category.name], row, strict=True)
    stored.seek(0)
    return fastavro.schemaless_reader(stored, SCHEMAS[category.name], None)


@pytest.mark.parametrize("category", ALL, ids=lambda category: category.name)
@UNHURRIED
@given(data=st.data())
def test_rows_come_through(category: Category, data: st.DataObject) -> None:
    row = data.draw(rows_of(category))
    assert through(category, row) == row


@pytest.mark.parametrize("topic", TOPICS)
@UNHURRIED
@given(data=st.data())
def test_records_come_back_byte_for_byte(topic: str, data: st.DataObject) -> None:
    category, written = BY_TOPIC[topic], msgspec.json.encode(data.draw(RECORDS[topic]))
    rows = [through(category, row) for row in to_rows(category, topic, decode(written), None)]
    assert encode(to_record(category, topic, rows)) == written


def test_reader_of_the_next_version_reads_old_rows_and_the_other_way_round() -> None:
    old = NEWEST["market_tick"]
    new, added = grown(old)
    newer = fastavro.parse_schema(json.loads(avro(new)))
    row = tick_row()
    stored = io.BytesIO()
    fastavro.schemaless_writer(stored, SCHEMAS[old.name], row)
    stored.seek(0)
    read: Any = fastavro.schemaless_reader(stored, SCHEMAS[old.name], newer)
    assert read == row | dict.fromkeys(added)

    stored = io.BytesIO()
    fastavro.schemaless_writer(stored, newer, read)
    stored.seek(0)
    assert fastavro.schemaless_reader(stored, newer, SCHEMAS[old.name]) == row
