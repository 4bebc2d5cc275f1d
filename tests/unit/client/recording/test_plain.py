"""Avro becomes JSON before it is recorded, and a registry that is away is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from ibfeed import RegistryError, SchemaRegistry, Topics
from ibfeed.recording import plain
from ibfeed.recording.plain import MARK, PlainValues
from support.avro_feed import AvroFeed
from support.reader_records import FakeMessage, tick
from support.stub_registry import StubRegistry


@pytest.fixture(scope="module")
def registry() -> Iterator[StubRegistry]:
    with StubRegistry() as found:
        yield found


@pytest.fixture(scope="module")
def avro(registry: StubRegistry) -> FakeMessage:
    return replace(tick(1), of_value=AvroFeed(registry.url, Topics()).encode("ticklast", tick(1).value()))


def reader(registry: StubRegistry, *stop: bool) -> PlainValues:
    asked = iter(stop)
    return PlainValues(SchemaRegistry(registry.url), "energy", lambda: next(asked, False))


def test_avro_becomes_json_with_a_mark(registry: StubRegistry, avro: FakeMessage) -> None:
    message, as_it_was = reader(registry).plain([avro, tick(2)])
    value = msgspec.json.decode(tick(1, price="71.9").value() or b"")
    assert msgspec.json.decode(message.value()) == value
    assert message.headers() == [*avro.headers(), MARK]
    assert (message.topic(), message.key(), message.offset()) == (avro.topic(), avro.key(), avro.offset())
    assert as_it_was == tick(2)


def test_what_cannot_be_decoded_stays_as_it_came(registry: StubRegistry, avro: FakeMessage) -> None:
    torn = replace(avro, of_value=(avro.value() or b"")[:20])
    assert reader(registry).plain([torn]) == [torn]


def test_avro_without_a_registry_is_told(avro: FakeMessage) -> None:
    with pytest.raises(RegistryError, match="name its schema registry by --schema-registry"):
        PlainValues(None, "energy", lambda: False).plain([avro])
    foreign = replace(avro, of_headers=tick(1, worker="metals-0").of_headers)
    assert PlainValues(None, "energy", lambda: False).plain([foreign]) == [foreign], "it is not recorded"


def test_registry_that_is_away_is_waited_for(
    registry: StubRegistry, avro: FakeMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "_FIRST_S", 0.01)
    monkeypatch.setattr(plain, "_LOOK_S", 0.01)
    registry.stop()
    assert reader(registry, True).plain([avro]) == [], "it was told to end, and has recorded nothing"

    def comes_back() -> bool:
        registry.start()
        return False

    (message,) = PlainValues(SchemaRegistry(registry.url), "energy", comes_back).plain([avro])
    assert (message.value() or b"").startswith(b"{")
