"""What Kafka's errors mean for a sink, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaError

from ibfeed_platform.sinks.progress import SinkError

_REMEDIES: Final[Mapping[int, str]] = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic, or correct spec.kafka.topics of the IbFeed",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "give the sink's user the rights Read and Describe on the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "give the sink's user the right Read on the consumer group",
}


def check(error: KafkaError, servers: str, where: str) -> None:
    """Raise SinkError if an error is such a refusal. Of all others librdkafka tries again.

    Args:
        where: what was refused, such as ``topic ticklast``.
    """
    remedy = _REMEDIES.get(error.code())
    if remedy is not None:
        raise SinkError(f"Kafka at {servers} refuses {where}: {error.str()}; {remedy}")


def trouble_of(error: KafkaError, servers: str) -> str:
    """Return the text of an error that passes by itself, or does not."""
    return (
        f"Kafka at {servers} fails: {error.str()}; it is tried again. If that stays so, check the address, the"
        " addresses that its brokers advertise, and the user's password"
    )


def text_of(error: Exception) -> str:
    """Return what a KafkaException, or another error of the client library, says."""
    cause = error.args[0] if error.args else error
    return cause.str() if isinstance(cause, KafkaError) else str(cause)
