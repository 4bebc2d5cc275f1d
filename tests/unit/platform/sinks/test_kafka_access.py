"""The properties for Kafka that a sink makes of ``spec.kafka`` and the keys of its Secrets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ibfeed_api.feed import Kafka
from ibfeed_platform.sinks.kafka_access import consumer_config
from ibfeed_platform.sinks.progress import SinkError

SCRAM = {"securityProtocol": "SASL_PLAINTEXT", "saslMechanism": "SCRAM-SHA-512", "secretRef": {"name": "user"}}
TLS = {"securityProtocol": "SSL", "secretRef": {"name": "user"}}
OAUTH = {
    "securityProtocol": "SASL_SSL",
    "saslMechanism": "OAUTHBEARER",
    "secretRef": {"name": "user"},
    "oauth": {"tokenEndpoint": "https://id/token", "scope": "kafka"},
}


def kafka(**more: Any) -> Kafka:
    return msgspec.convert({"bootstrapServers": "kafka:9092"} | more, Kafka)


def test_plaintext_needs_nothing() -> None:
    assert consumer_config(kafka(), {}, {}) == {"security.protocol": "PLAINTEXT"}


def test_further_properties_are_passed_on_but_for_denied_ones() -> None:
    config = {"socket.timeout.ms": "1000", "acks": "0", "sasl.password": "x"}
    assert consumer_config(kafka(config=config), {}, {}).keys() == {"security.protocol", "socket.timeout.ms"}


@pytest.mark.parametrize(
    "own",
    [
        {"username": b"reader", "password": b"hidden\n"},
        {"sasl.jaas.config": b'x required username="reader" password="hidden";', "password": b"hidden"},
    ],
    ids=["plain", "as Strimzi writes it"],
)
def test_a_password_comes_from_the_secret(own: dict[str, bytes]) -> None:
    found = consumer_config(kafka(**SCRAM), own, {})
    assert found["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (found["sasl.username"], found["sasl.password"]) == ("reader", "hidden")


def test_oauth_has_its_endpoint_and_its_ca() -> None:
    found = consumer_config(kafka(**OAUTH), {"client-id": b"me", "client-secret": b"hidden"}, {}, "PEM")
    assert found["sasl.oauthbearer.token.endpoint.url"] == "https://id/token"
    assert found["sasl.oauthbearer.client.secret"] == "hidden"
    assert (found["sasl.oauthbearer.scope"], found["https.ca.pem"]) == ("kafka", "PEM")
    plain = OAUTH | {"oauth": {"tokenEndpoint": "https://id/token"}}
    less = consumer_config(kafka(**plain), {"client-id": b"me", "client-secret": b"hidden"}, {})
    assert not {"sasl.oauthbearer.scope", "https.ca.pem"} & less.keys()


def test_a_ca_comes_from_its_own_secret_or_else_from_the_user_s() -> None:
    named = kafka(**TLS, caSecretRef={"name": "cluster", "key": "root.pem"})
    own = {"ca.crt": b"of the clients"}
    assert consumer_config(named, own, {"root.pem": b"of the brokers"})["ssl.ca.pem"] == "of the brokers"
    assert consumer_config(kafka(**TLS), own, {})["ssl.ca.pem"] == "of the clients"
    assert "ssl.ca.pem" not in consumer_config(kafka(**TLS), {}, {})


@pytest.mark.parametrize("kind", ["user", "tls"])
def test_a_client_certificate_goes_with_its_key(kind: str) -> None:
    found = consumer_config(kafka(**TLS), {f"{kind}.crt": b"CERT", f"{kind}.key": b"KEY"}, {})
    assert (found["ssl.certificate.pem"], found["ssl.key.pem"]) == ("CERT", "KEY")


@pytest.mark.parametrize(
    ("given", "own", "says"),
    [
        (SCRAM, {}, "Secret user does not exist, or is empty: create it in the sink's namespace with key username"),
        (SCRAM, {"username": b"reader"}, "Secret user has no password, or it is empty: add it"),
        (SCRAM, {"username": b"reader", "password": b" \n"}, "has no password"),
        (SCRAM, {"username": b"\xff", "password": b"x"}, "holds bytes as username that are not text"),
        (SCRAM, {"sasl.jaas.config": b"x required;", "password": b"x"}, "add the key username"),
        (TLS, {"user.crt": b"CERT"}, "has no user.key"),
        (OAUTH, {"client-id": b"me"}, "has no client-secret"),
        (TLS | {"caSecretRef": {"name": "cluster"}}, {}, "Secret cluster does not exist"),
    ],
)
def test_a_secret_that_lacks_something_is_named(given: dict[str, Any], own: dict[str, bytes], says: str) -> None:
    with pytest.raises(SinkError, match=says):
        consumer_config(kafka(**given), own, {})
