"""A reader's way to a feed's Kafka has the properties that the workers have."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

import ibfeed
from ibfeed.cluster.kafka_access import kafka_access, kafka_secrets, secret_values
from ibfeed_api.feed import Kafka
from ibfeed_api.kafka_security import KafkaCredentials, security_properties

SECRETS = {
    "user": {"username": "desk", "password": "pw", "client-id": "id", "client-secret": "cs"},
    "mutual": {"user.crt": "CERT", "user.key": "KEY"},
    "strimzi": {"password": "pw", "sasl.jaas.config": 'x required username="de\\"sk" password="pw";'},
    "ca": {"ca.crt": "CA"},
}
OAUTH = {"tokenEndpoint": "https://id/token", "scope": "kafka"}
TLS: dict[str, Any] = {"securityProtocol": "SASL_SSL", "secretRef": {"name": "user"}}
CA = {"name": "ca", "key": "ca.crt"}


def of(**kafka: Any) -> dict[str, Any]:
    return {"metadata": {"name": "energy"}, "spec": {"kafka": {"bootstrapServers": "kafka:9092", **kafka}}}


@pytest.mark.parametrize(
    ("kafka", "credentials"),
    [
        (
            {
                "securityProtocol": "SASL_SSL",
                "saslMechanism": "SCRAM-SHA-512",
                "secretRef": {"name": "user"},
                "caSecretRef": CA,
            },
            KafkaCredentials(username="desk", password="pw", authority="CA"),
        ),
        (
            {"securityProtocol": "SASL_PLAINTEXT", "saslMechanism": "SCRAM-SHA-256", "secretRef": {"name": "strimzi"}},
            KafkaCredentials(username='de"sk', password="pw"),
        ),
        (
            {
                "securityProtocol": "SASL_SSL",
                "saslMechanism": "OAUTHBEARER",
                "secretRef": {"name": "user"},
                "oauth": OAUTH,
            },
            KafkaCredentials(client_id="id", client_secret="cs"),
        ),
        (
            {"securityProtocol": "SSL", "secretRef": {"name": "mutual"}, "caSecretRef": CA},
            KafkaCredentials(certificate="CERT", key="KEY", authority="CA"),
        ),
    ],
)
def test_properties_are_the_workers(kafka: dict[str, Any], credentials: KafkaCredentials) -> None:
    found = kafka_access(of(**kafka), SECRETS)
    theirs = msgspec.convert({"bootstrapServers": "kafka:9092", **kafka}, Kafka)
    assert found.properties == security_properties(theirs, credentials)
    assert "pw" not in repr(found)


def test_plain_feed_has_its_topics_and_no_properties() -> None:
    found = kafka_access(of(topics={"ticklast": {"name": "own"}}), {})
    assert (found.servers, found.properties, found.registry) == ("kafka:9092", {}, None)
    assert found.topics == ibfeed.Topics("own", "l2-data", "feed-events", "contracts")


def test_registry_comes_with_its_credentials() -> None:
    registry = {"url": "https://registry:8081", "secretRef": {"name": "user"}}
    feed = of(format="Avro", schemaRegistry=registry)
    assert kafka_secrets(feed) == ["user"]
    assert kafka_access(feed, SECRETS).registry == ibfeed.SchemaRegistry("https://registry:8081", "desk", "pw")


def test_values_of_a_secret() -> None:
    assert secret_values({"data": {"a": base64.b64encode(b"b").decode()}}) == {"a": "b"}
