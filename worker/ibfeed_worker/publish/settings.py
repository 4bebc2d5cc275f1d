"""librdkafka's configuration of the feed's Kafka: the producer's, and the part that all clients share. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from ibfeed_api.feed import DENIED_CONFIG, Compression, Kafka
from ibfeed_api.kafka_security import KafkaCredentials, security_properties

Settings = dict[str, Any]
_DENIED: Final = re.compile(DENIED_CONFIG)


class ProducerConfigError(Exception):
    """The feed's ``kafka.config`` sets what it may not; the text says which names."""


def client_settings(kafka: Kafka, credentials: KafkaCredentials, client: str, trusted: str = "") -> Settings:
    """Return the settings that producer, consumer and administrator have in common. Raises ProducerConfigError.

    ``trusted``: the CAs that may sign the token endpoint's certificate, in PEM; empty: the public ones.
    """
    denied = sorted(name for name in kafka.config if _DENIED.match(name))
    if denied:
        raise ProducerConfigError(f"kafka.config may not set {', '.join(denied)}: take it out")
    return {
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 250,
        "reconnect.backoff.max.ms": 3000,
        **kafka.config,
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": client,
        "log_level": 2,  # errors come through the error callback; here each try would be a line
        "log.connection.close": False,
        "allow.auto.create.topics": False,
        **security_properties(kafka, credentials, trusted),
    }


def producer_settings(kafka: Kafka, client: Settings, batch_size: int) -> Settings:
    """Return the producer's settings. ``batch_size`` in bytes is the spec's, or less if a topic takes less."""
    return {
        **client,
        "enable.idempotence": True,
        "acks": "all",
        # With more requests, a partition that is just coming up can refuse the first record and take the second. It
        # then acknowledges the first as one that it has (ADR 23).
        "max.in.flight.requests.per.connection": 1,
        # A new producer sends refused records again: no later record may overtake them (ADR 32).
        "enable.gapless.guarantee": True,
        "linger.ms": kafka.linger_ms,
        "batch.size": batch_size,
        "compression.codec": str(kafka.compression or Compression.NONE),
        # A record waits as long as it takes. The bounded queue limits the cost of an outage.
        "message.timeout.ms": 0,
    }
