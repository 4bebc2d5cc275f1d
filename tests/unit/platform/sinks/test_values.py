"""The values of records in both formats, and a registry that is away or refuses."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from ibfeed import RecordError, RegistryUnreachableError, SchemaRegistry, Topics
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.values import Values
from support.avro_feed import AvroFeed
from support.reader_records import feed_event
from support.stub_registry import StubRegistry

VALUE = feed_event("alive").value() or b""


@pytest.fixture(scope="module")
def registry() -> Iterator[StubRegistry]:
    with StubRegistry() as found:
        yield found


@pytest.fixture(scope="module")
def avro(registry: StubRegistry) -> bytes:
    return AvroFeed(registry.url, Topics()).encode("feed-events", VALUE) or b""


@pytest.fixture
def values(registry: StubRegistry) -> Values:
    registry.asked.clear()
    return Values(SchemaRegistry(registry.url))


def test_both_formats_are_the_same_json(values: Values, registry: StubRegistry, avro: bytes) -> None:
    for value in (VALUE, avro, avro):
        assert msgspec.json.decode(values.plain(value)) == msgspec.json.decode(VALUE)
    assert len(registry.asked) == 1, "a schema is asked for once"


def test_a_damaged_value_is_told(values: Values, avro: bytes) -> None:
    for value, says in ((avro[:3], "ends before the number of its schema"), (avro[:9], "not as its schema 3 says")):
        with pytest.raises(RecordError, match=says):
            values.plain(value)


def test_avro_without_a_registry_is_told(avro: bytes) -> None:
    with pytest.raises(RecordError, match=r"name its registry as spec.kafka.schemaRegistry"):
        Values(None).plain(avro)


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (0, SinkError, r"has it lost schema 255\?; see spec.kafka.schemaRegistry"),
        (401, SinkError, "HTTP 401: correct username and password"),
        (302, SinkError, "check its address"),
        (503, RegistryUnreachableError, "HTTP 503: look at its log"),
    ],
)
def test_a_registry_that_gives_no_schema(
    values: Values, registry: StubRegistry, status: int, error: type[Exception], says: str
) -> None:
    registry.status = status
    try:
        with pytest.raises(error, match=says):
            values.plain(b"\0\0\0\0\xffx")
    finally:
        registry.status = 0


def test_a_registry_that_is_away_may_come_back(values: Values, registry: StubRegistry, avro: bytes) -> None:
    registry.stop()
    with pytest.raises(RegistryUnreachableError, match="does not answer"):
        values.plain(avro)
    registry.start()
    assert values.plain(avro)
