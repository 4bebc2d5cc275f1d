"""The schema registry, as Confluent defines its API (Confluent, Apicurio, Karapace and Redpanda have it).

A worker registers its schemas once, before its first record, and remembers their numbers. So a registry that is away
stops no worker that publishes already.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from typing import Any, Final

import httpx

from ibfeed_api.feed import Kafka, RecordFormat
from ibfeed_api.kafka_security import KafkaCredentials
from ibfeed_worker.publish.avro import WRITTEN, AvroError, AvroSchema, is_avro, number_of, schema_text

_CALL_S: Final = 2.0
_TYPE: Final = "application/vnd.schemaregistry.v1+json"


class RegistryError(Exception):
    """The schema registry cannot be used. The text says why, names its address, and says what to do.

    ``refused``: it answers, and only a person can help. Else it may come back by itself.
    """

    def __init__(self, text: str, *, refused: bool) -> None:
        super().__init__(text)
        self.refused: Final = refused


class Schemas:
    """The schemas of one worker, with the registry's numbers. They outlive producers. All threads may call it."""

    def __init__(self) -> None:
        """Create them without any."""
        self._written: dict[str, AvroSchema] = {}  # by topic
        self._known: Final[dict[int, AvroSchema]] = {}  # by number
        self._registering: Final = threading.Lock()

    def register(self, kafka: Kafka, who: KafkaCredentials) -> None:
        """Register what this worker writes, if that was not done yet. Blocks for some seconds. Raises RegistryError."""
        if kafka.format is not RecordFormat.AVRO:
            return
        with self._registering:
            if not self._written:
                topics = kafka.topics
                names = (*topics.every, topics.contracts)
                with _calls(kafka, who) as registry:
                    written = {
                        topic.name: registry.register(topic.name, schema_text(schema))
                        for topic, schema in zip(names, WRITTEN, strict=True)
                    }
                self._known.update({schema.number: schema for schema in written.values()})
                self._written = written

    def encode(self, topic: str, value: bytes) -> bytes:
        """Make a record's value what goes to Kafka; one that was made so before is left. Raises AvroError."""
        return value if is_avro(value) else self._written[topic].encode(value)

    def decode(self, kafka: Kafka, who: KafkaCredentials, value: bytes) -> bytes:
        """Make JSON of a record's value, whichever it is. Blocks for a schema that it sees for the first time.

        Raises AvroError if the value, or the registry, does not allow it.
        """
        if not is_avro(value):
            return value
        number = number_of(value)
        if number not in self._known:
            try:
                with _calls(kafka, who) as registry:
                    self._known[number] = registry.schema(number)
            except RegistryError as error:
                raise AvroError(str(error)) from None
        return self._known[number].decode(value)


class _Registry:
    """The calls of the registry's API that a worker needs."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client: Final = client
        self._url: Final = url

    def register(self, topic: str, text: str) -> AvroSchema:
        path = f"/subjects/{topic}-value/versions"
        number = self._call("POST", path, {"schemaType": "AVRO", "schema": text})["id"]
        return AvroSchema(text, number)

    def schema(self, number: int) -> AvroSchema:
        return AvroSchema(self._call("GET", f"/schemas/ids/{number}")["schema"], number)

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        try:
            answer = self._client.request(method, f"{self._url}{path}", json=body)
        except httpx.TransportError as error:
            raise RegistryError(
                f"the schema registry {self._url} does not answer ({error}): start it, let the pods reach it, or"
                " correct kafka.schemaRegistry.url",
                refused=False,
            ) from None
        if answer.status_code >= 400:
            raise _refusal(self._url, path, answer)
        try:
            found = answer.json()
            return {"id": found["id"]} if body is not None else {"schema": found["schema"]}
        except (ValueError, KeyError, TypeError):
            raise RegistryError(
                f"{self._url}{path} is no schema registry with Confluent's API: correct kafka.schemaRegistry.url",
                refused=True,
            ) from None


def _refusal(url: str, path: str, answer: httpx.Response) -> RegistryError:
    status, where = answer.status_code, f"the schema registry {url}"
    if status >= 500 or status == 429:
        return RegistryError(f"{where} fails with HTTP {status}: look at its log", refused=False)
    if status in (401, 403):
        advice = "correct username and password in the Secret of kafka.schemaRegistry.secretRef"
        return RegistryError(f"{where} refuses us with HTTP {status}: {advice}", refused=True)
    if status == 409:
        what = f"{where} has schemas as {path.split('/')[2]} that ours does not follow"
        return RegistryError(f"{what}: delete them, or let kafka.topics name another topic", refused=True)
    advice = "correct kafka.schemaRegistry.url"
    return RegistryError(f"{where} answers {path} with HTTP {status}: {advice}", refused=True)


@contextlib.contextmanager
def _calls(kafka: Kafka, who: KafkaCredentials) -> Iterator[_Registry]:
    settings = kafka.schema_registry
    if settings is None:
        raise RegistryError("a record is Avro: name its registry as kafka.schemaRegistry", refused=True)
    verify = ssl.create_default_context(cadata=who.registry_authority) if who.registry_authority else True
    auth = (who.registry_username, who.registry_password) if who.registry_username else None
    headers = {"Accept": _TYPE, "Content-Type": _TYPE}
    with httpx.Client(timeout=_CALL_S, verify=verify, auth=auth, headers=headers, trust_env=False) as client:
        yield _Registry(client, settings.url.rstrip("/"))
