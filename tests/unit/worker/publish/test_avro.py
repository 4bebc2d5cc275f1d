"""Avro and JSON of the same record say the same."""

from __future__ import annotations

import io
from decimal import Decimal

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.records import TOPIC_CONTRACTS, TOPIC_DEPTH, TOPIC_EVENTS, TOPIC_TICKS
from ibfeed_platform.categories.codec import decode
from ibfeed_worker.publish.avro import WRITTEN, AvroError, AvroSchema, is_avro, number_of, schema_text
from support.categories import RECORDS, UNHURRIED

ORDER = (TOPIC_TICKS, TOPIC_DEPTH, TOPIC_EVENTS, TOPIC_CONTRACTS)
SCHEMAS = {
    topic: AvroSchema(schema_text(schema), number)
    for number, (topic, schema) in enumerate(zip(ORDER, WRITTEN, strict=True), 7)
}
TICK = (
    b'{"symbol":"CLZ6","conid":1,"price":-71.90,"size":3,"open_interest":null,"event_time":5,"market_data_type":"RpB",'
    b'"bid":71.89,"bid_size":12,"ask":71.91,"ask_size":9,"volume":87250,"received_ns":1795244400171000000,"seq":3,'
    b'"flags":["price"]}'
)
TICKS = SCHEMAS[TOPIC_TICKS]


@pytest.mark.parametrize("topic", ORDER)
@UNHURRIED
@given(data=st.data())
def test_record_comes_back_with_each_value(topic: str, data: st.DataObject) -> None:
    written = msgspec.json.encode(data.draw(RECORDS[topic]))
    avro = SCHEMAS[topic].encode(written)
    assert is_avro(avro)
    assert not is_avro(written)
    assert decode(SCHEMAS[topic].decode(avro)) == decode(written)


def test_number_of_the_schema_stands_before_the_record() -> None:
    avro = TICKS.encode(TICK)
    assert avro[:5] == b"\0\0\0\0\x07"
    assert number_of(avro) == 7


def test_zeros_at_the_end_of_a_fraction_are_left_out() -> None:
    back = TICKS.decode(TICKS.encode(TICK))
    assert back == TICK.replace(b"-71.90", b"-71.9")


def test_any_reader_finds_exact_decimals() -> None:
    schema = fastavro.parse_schema(msgspec.json.decode(schema_text("ticklast/2")))
    found = fastavro.schemaless_reader(io.BytesIO(TICKS.encode(TICK)[5:]), schema, None)
    assert isinstance(found, dict)
    assert (found["price"], found["open_interest"], found["flags"]) == (Decimal("-71.90"), None, ["price"])


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (b'{"symbol":"CLZ6"}', "no value and no default for conid"),
        (TICK.replace(b"71.89", b"71.1234567890123456789"), "more than 18 digits after the point"),
        (TICK.replace(b"71.89", b"123456789012345678901"), "more than 20 digits before the point"),
        (TICK.replace(b'"price":', b'"cost":'), "cost"),
    ],
)
def test_record_that_does_not_fit_is_refused(record: bytes, says: str) -> None:
    with pytest.raises(AvroError, match=f"(?i){says}"):
        TICKS.encode(record)


@pytest.mark.parametrize("length", [0, 3, 5, 9, 60])
def test_torn_value_is_refused(length: int) -> None:
    value = TICKS.encode(TICK)[:length]
    with pytest.raises(AvroError):
        number_of(value)
        TICKS.decode(value)


@pytest.mark.parametrize("text", ['{"type":"string"}', "[]", "no JSON", '{"type":"record","name":"a","fields":[{}]}'])
def test_schema_of_no_record_is_refused(text: str) -> None:
    with pytest.raises(AvroError, match="schema 3 is no Avro schema of a record"):
        AvroSchema(text, 3)
