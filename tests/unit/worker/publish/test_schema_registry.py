"""The registry's answers, as a small server of the tests gives them, and what the worker says of each."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from ibfeed_api.feed import Kafka, RecordFormat, SchemaRegistry
from ibfeed_api.kafka_security import NOBODY, KafkaCredentials
from ibfeed_worker.publish.avro import AvroError, AvroSchema, schema_text
from ibfeed_worker.publish.schema_registry import RegistryError, Schemas
from support.ports import free_port

TICK = b'{"symbol":"CLZ6"}'
KNOWN = 41


class Answering(ThreadingHTTPServer):
    """Answers with ``status`` and ``body``, or as a registry does; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.body: Any = None
        self.asked: list[tuple[str, dict[str, Any], str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self._answer(json.loads(self.rfile.read(length)), {"id": len(self.server.asked) + 1})

    def do_GET(self) -> None:
        self._answer({}, {"schema": schema_text("feed-events/2")})

    def _answer(self, asked: dict[str, Any], usual: dict[str, Any]) -> None:
        self.server.asked.append((self.path, asked, self.headers.get("Authorization", "")))
        body = json.dumps(usual if self.server.body is None else self.server.body).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Answering]:
    with Answering() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def feed(port: int, **changes: Any) -> Kafka:
    registry = SchemaRegistry(url=f"http://127.0.0.1:{port}/api/")
    return Kafka(bootstrap_servers="kafka:9092", format=RecordFormat.AVRO, schema_registry=registry, **changes)


def test_schemas_are_registered_once_under_topics(server: Answering) -> None:
    schemas, kafka = Schemas(), feed(server.server_port)
    for _ in range(2):
        schemas.register(kafka, NOBODY)
    names = ["ticklast", "l2-data", "feed-events", "contracts"]
    assert [path for path, _, _ in server.asked] == [f"/api/subjects/{name}-value/versions" for name in names]
    assert server.asked[0][1] == {"schemaType": "AVRO", "schema": schema_text("ticklast/2")}
    event = b'{"kind":"alive","feed":"e","worker":"e-0","at_ms":5}'
    avro = schemas.encode("feed-events", event)
    assert avro[:5] == b"\0\0\0\0\x03"
    assert schemas.encode("feed-events", avro) is avro  # it comes back from a producer that ended


def test_own_records_are_read_while_the_registry_is_away(server: Answering) -> None:
    schemas, kafka = Schemas(), feed(server.server_port)
    schemas.register(kafka, NOBODY)
    server.status = 503
    event = b'{"kind":"alive","feed":"e","worker":"e-0","at_ms":5}'
    assert schemas.decode(kafka, NOBODY, schemas.encode("feed-events", event)) == event


def test_a_feed_of_json_asks_no_registry(server: Answering) -> None:
    kafka = msgspec.structs.replace(feed(server.server_port), format=RecordFormat.JSON)
    schemas = Schemas()
    schemas.register(kafka, NOBODY)
    assert schemas.decode(kafka, NOBODY, TICK) is TICK
    assert server.asked == []


def test_the_worker_says_who_it_is(server: Answering) -> None:
    who = KafkaCredentials(registry_username="energy", registry_password="a:b")
    Schemas().register(feed(server.server_port), who)
    assert {told for _, _, told in server.asked} == {"Basic " + base64.b64encode(b"energy:a:b").decode()}


def test_another_writers_schema_is_asked_for_once(server: Answering) -> None:
    kafka, schemas = feed(server.server_port), Schemas()
    event = b'{"kind":"alive","feed":"e","worker":"e-0","at_ms":5}'
    avro = AvroSchema(schema_text("feed-events/2"), KNOWN).encode(event)
    assert [schemas.decode(kafka, NOBODY, avro) for _ in range(2)] == [event, event]
    assert [path for path, _, _ in server.asked] == [f"/api/schemas/ids/{KNOWN}"]


@pytest.mark.parametrize(
    ("status", "body", "refused", "says"),
    [
        (401, {}, True, "HTTP 401: correct username and password in the Secret of kafka.schemaRegistry.secretRef"),
        (403, {}, True, "HTTP 403: correct username and password"),
        (404, {}, True, "HTTP 404: correct kafka.schemaRegistry.url"),
        (409, {}, True, "ticklast-value that ours does not follow: delete them, or let kafka.topics"),
        (429, {}, False, "fails with HTTP 429"),
        (503, {}, False, "fails with HTTP 503: look at its log"),
        (200, {"ok": True}, True, "is no schema registry with Confluent's API: correct kafka.schemaRegistry.url"),
        (200, [], True, "is no schema registry"),
    ],
)
def test_refusal_says_what_to_do(server: Answering, status: int, body: Any, refused: bool, says: str) -> None:
    server.status, server.body = status, body
    schemas, kafka = Schemas(), feed(server.server_port)
    with pytest.raises(RegistryError, match=says) as caught:
        schemas.register(kafka, NOBODY)
    assert caught.value.refused is refused
    assert f"http://127.0.0.1:{server.server_port}/api" in str(caught.value)
    server.status, server.body = 200, None
    schemas.register(kafka, NOBODY)  # nothing of the failure is kept


def test_registry_that_is_away_is_named() -> None:
    port = free_port()
    with pytest.raises(RegistryError, match=rf"127\.0\.0\.1:{port}/api does not answer .*let the pods reach") as caught:
        Schemas().register(feed(port), NOBODY)
    assert not caught.value.refused


def test_avro_without_a_registry_is_not_read() -> None:
    kafka = Kafka(bootstrap_servers="kafka:9092")
    avro = AvroSchema(schema_text("feed-events/2"), KNOWN).encode(b'{"kind":"a","feed":"e","worker":"w","at_ms":5}')
    with pytest.raises(AvroError, match=r"name its registry as kafka\.schemaRegistry"):
        Schemas().decode(kafka, NOBODY, avro)
