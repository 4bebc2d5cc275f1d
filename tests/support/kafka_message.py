"""The parts of a record that came from Kafka, of which the client library declares each as optional."""

from __future__ import annotations

from confluent_kafka import Message


def place_of(message: Message) -> tuple[int, int]:
    """Partition and offset."""
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset


def key_of(message: Message) -> bytes:
    key = message.key()
    assert key is not None
    return key


def value_of(message: Message) -> bytes:
    value = message.value()
    assert value is not None
    return value


def headers_of(message: Message) -> dict[str, str]:
    """The headers as text; empty if there are none."""
    found: dict[str, str] = {}
    for name, value in dict(message.headers() or []).items():
        assert isinstance(value, bytes)
        found[name] = value.decode()
    return found
