"""The .proto files compile with Google's compiler, and rows go through their messages."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_tools import protoc
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_platform.categories.codec import decode, encode
from ibfeed_platform.categories.columns import columns_of
from ibfeed_platform.categories.protobuf import protobuf
from ibfeed_platform.categories.rows import to_record, to_rows
from ibfeed_platform.categories.source import Category, Dtype
from support.categories import ALL, BY_TOPIC, NEWEST, RECORDS, TOPICS, UNHURRIED, rows_of, tick_row
from support.category_versions import grown

Messages = Mapping[str, type[Message]]
VERSIONS = [*ALL, grown(NEWEST["market_tick"])[0]]


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Messages:
    """The message class of each category."""
    folder: Path = tmp_path_factory.mktemp("proto")
    for category in VERSIONS:
        (folder / f"{category.name}.proto").write_text(protobuf(category))
    compiled = folder / "compiled"
    files = [f"{category.name}.proto" for category in VERSIONS]
    assert protoc.main(["protoc", f"-I{folder}", f"--descriptor_set_out={compiled}", *files]) == 0
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return {
        category.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"ibfeed.categories.{category.category}.v{category.version}.{category.title}")
        )
        for category in VERSIONS
    }


def message_of(kind: type[Message], row: Mapping[str, Any]) -> bytes:
    said = {key: f"{value:f}" if isinstance(value, Decimal) else value for key, value in row.items()}
    return kind(**{key: value for key, value in said.items() if value is not None}).SerializeToString()


def row_of(category: Category, message: Message) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in columns_of(category):
        value = getattr(message, column.name)
        if column.dtype is Dtype.STRINGS:
            row[column.name] = list(value)
        elif column.dtype is Dtype.SPANS:
            row[column.name] = [{"start": span.start, "end": span.end} for span in value]
        elif column.nullable and not message.HasField(column.name):
            row[column.name] = None
        else:
            row[column.name] = Decimal(value) if column.dtype is Dtype.DECIMAL else value
    return row


def through(messages: Messages, category: Category, row: Mapping[str, Any]) -> dict[str, Any]:
    kind = messages[category.name]
    return row_of(category, kind.FromString(message_of(kind, row)))


@pytest.mark.parametrize("category", ALL, ids=lambda category: category.name)
@UNHURRIED
@given(data=st.data())
def test_rows_come_through(messages: Messages, category: Category, data: st.DataObject) -> None:
    row = data.draw(rows_of(category))
    # A list has no null in Protobuf; the state says it.
    lists = {column.name for column in columns_of(category) if column.dtype in (Dtype.STRINGS, Dtype.SPANS)}
    assert through(messages, category, row) == {
        key: [] if key in lists and value is None else value for key, value in row.items()
    }


@pytest.mark.parametrize("topic", TOPICS)
@UNHURRIED
@given(data=st.data())
def test_records_come_back_byte_for_byte(messages: Messages, topic: str, data: st.DataObject) -> None:
    category, written = BY_TOPIC[topic], msgspec.json.encode(data.draw(RECORDS[topic]))
    rows = [through(messages, category, row) for row in to_rows(category, topic, decode(written), None)]
    assert encode(to_record(category, topic, rows)) == written


def test_message_of_the_next_version_reads_old_rows(messages: Messages) -> None:
    old = NEWEST["market_tick"]
    new, added = grown(old)
    read = messages[new.name].FromString(message_of(messages[old.name], tick_row()))
    assert row_of(new, read) == tick_row() | dict.fromkeys(added)
