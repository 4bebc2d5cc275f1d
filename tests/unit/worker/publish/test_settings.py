"""What the client library is told, and what ``kafka.config`` may not tell it."""

from __future__ import annotations

import pytest

from ibfeed_api.feed import CaSecret, Compression, Kafka, OAuth
from ibfeed_api.kafka_security import NOBODY, KafkaCredentials
from ibfeed_worker.publish.settings import ProducerConfigError, client_settings, producer_settings

PLAIN = Kafka(bootstrap_servers="[2001:db8::7]:9092,kafka-1:9092")


def test_the_producer_keeps_its_promises_whatever_the_spec_says() -> None:
    kafka = Kafka(bootstrap_servers="kafka:9092", compression=Compression.LZ4, config={"socket.timeout.ms": "9000"})
    found = producer_settings(kafka, client_settings(kafka, NOBODY, "energy-0"), 20_000)
    promised = {
        "acks": "all",
        "enable.idempotence": True,
        "enable.gapless.guarantee": True,
        "max.in.flight.requests.per.connection": 1,
        "message.timeout.ms": 0,
    }
    assert found.items() >= promised.items()
    assert (found["compression.codec"], found["batch.size"], found["socket.timeout.ms"]) == ("lz4", 20_000, "9000")
    assert (found["client.id"], found["linger.ms"]) == ("energy-0", 0)


@pytest.mark.parametrize(
    "name",
    [
        "acks", "request.required.acks", "enable.idempotence", "enable.gapless.guarantee", "max.in.flight",
        "max.in.flight.requests.per.connection", "retries", "message.send.max.retries", "message.timeout.ms",
        "delivery.timeout.ms", "transactional.id", "transaction.timeout.ms", "bootstrap.servers",
        "metadata.broker.list", "client.id", "security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username",
        "sasl.password", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.client.credentials.client.id",
        "sasl.oauthbearer.token.endpoint.url", "ssl.ca.pem", "ssl.ca.location", "ssl_ca", "ssl.key.pem",
        "ssl.key.password", "ssl.certificate.pem", "ssl.keystore.location", "https.ca.location", "linger.ms",
        "queue.buffering.max.ms", "queue.buffering.max.messages", "batch.size", "compression.codec",
        "compression.type", "plugin.library.paths", "error_cb", "oauth_cb", "log_level", "ssl.engine.location",
    ],
)  # fmt: skip
def test_config_cannot_set_what_would_break_a_promise(name: str) -> None:
    kafka = Kafka(bootstrap_servers="kafka:9092", config={name: "1", "socket.timeout.ms": "9000"})
    with pytest.raises(ProducerConfigError, match=f"kafka.config may not set {name}: take it out"):
        client_settings(kafka, NOBODY, "energy-0")


@pytest.mark.parametrize(
    "name",
    ["sasl.oauthbearer.extensions", "ssl.endpoint.identification.algorithm", "socket.timeout.ms", "retry.backoff.ms",
     "compression.level", "metadata.max.age.ms", "broker.address.family", "message.max.bytes", "sasl.kerberos.keytab"],
)  # fmt: skip
def test_config_can_set_what_is_nobody_elses(name: str) -> None:
    kafka = Kafka(bootstrap_servers="kafka:9092", config={name: "1"})
    assert client_settings(kafka, NOBODY, "energy-0")[name] == "1"


def test_a_password_goes_with_its_mechanism() -> None:
    kafka = Kafka(bootstrap_servers="kafka:9092", security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512")
    who = KafkaCredentials(username="feed", password="s3cr3t", authority="PEM")
    found = client_settings(kafka, who, "energy-0")
    assert (found["sasl.mechanism"], found["sasl.username"], found["ssl.ca.pem"]) == ("SCRAM-SHA-512", "feed", "PEM")
    assert found["sasl.password"] == "s3cr3t"


def test_tokens_come_from_the_endpoint() -> None:
    kafka = Kafka(
        bootstrap_servers="kafka:9092",
        security_protocol="SASL_SSL",
        sasl_mechanism="OAUTHBEARER",
        oauth=OAuth(token_endpoint="https://id.example/token", scope="kafka"),
    )
    found = client_settings(kafka, KafkaCredentials(client_id="feed", client_secret="s3cr3t"), "energy-0", "CAs")
    assert found["sasl.oauthbearer.method"] == "oidc"
    assert found["sasl.oauthbearer.token.endpoint.url"] == "https://id.example/token"
    assert (found["sasl.oauthbearer.scope"], found["https.ca.pem"]) == ("kafka", "CAs")
    assert "sasl.username" not in found


def test_a_client_certificate_is_shown() -> None:
    kafka = Kafka(bootstrap_servers="kafka:9092", security_protocol="SSL", ca_secret_ref=CaSecret(name="ca"))
    found = client_settings(kafka, KafkaCredentials(certificate="CERT", key="KEY"), "energy-0")
    assert (found["ssl.certificate.pem"], found["ssl.key.pem"]) == ("CERT", "KEY")


def test_an_address_in_brackets_is_passed_on() -> None:
    assert client_settings(PLAIN, NOBODY, "energy-0")["bootstrap.servers"] == "[2001:db8::7]:9092,kafka-1:9092"
