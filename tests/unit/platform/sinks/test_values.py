"""The values of records in both formats, and a registry that is away or refuses."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import msgspec
import pytest

from ibfeed import RecordError, RegistryUnreachableError, SchemaRegistry
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.values import Values
from ibfeed_worker.publish.avro import AvroSchema, schema_text
from support.ports import free_port
from support.reader_records import feed_event

SCHEMA = "feed-events/2"
VALUE = feed_event("alive").value() or b""


class OneSchema(http.server.BaseHTTPRequestHandler):
    """A registry that knows schema 7 only."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        status, body = (404, b"{}") if not self.path.endswith("/schemas/ids/7") else (200, _ANSWER)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


_ANSWER = msgspec.json.encode({"schema": schema_text(SCHEMA)})


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    OneSchema.asked = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OneSchema) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield SchemaRegistry(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def encoded(number: int) -> bytes:
    return AvroSchema(schema_text(SCHEMA), number).encode(VALUE)


def test_both_formats_are_the_same_json(registry: SchemaRegistry) -> None:
    values = Values(registry)
    for value in (VALUE, encoded(7), encoded(7)):
        assert msgspec.json.decode(values.plain(value)) == msgspec.json.decode(VALUE)
    assert OneSchema.asked == 1


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"\0\0\0", "ends before the number of its schema"),
        (encoded(7)[:9], "not as its schema 7 says"),
    ],
)
def test_a_damaged_value_is_told(registry: SchemaRegistry, value: bytes, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        Values(registry).plain(value)


def test_avro_without_a_registry_is_told() -> None:
    with pytest.raises(RecordError, match=r"name its registry as spec.kafka.schemaRegistry"):
        Values(None).plain(encoded(7))


def test_a_schema_that_the_registry_has_lost_is_for_a_person(registry: SchemaRegistry) -> None:
    with pytest.raises(SinkError, match=r"has it lost schema 8\?; see spec.kafka.schemaRegistry"):
        Values(registry).plain(encoded(8))


def test_a_registry_that_is_away_may_come_back() -> None:
    away = SchemaRegistry(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RegistryUnreachableError, match="does not answer"):
        Values(away).plain(encoded(7))
