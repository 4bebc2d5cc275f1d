"""From what the client library says to a cause that a person can act on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec import structs

from ibfeed_api.feed import CaSecret, Kafka, OAuth, SecretRef
from ibfeed_api.kafka_security import NOBODY, KafkaCredentials
from ibfeed_api.reasons import Reason
from ibfeed_worker.publish.trouble import REFUSED, Fault, Finding, Heard, Trouble, of_bootstrap, of_broker

KAFKA = Kafka(bootstrap_servers="kafka:9093", security_protocol="SASL_SSL", secret_ref=SecretRef(name="kafka-user"))
AWAY = Heard("_ALL_BROKERS_DOWN", "1/1 brokers are down")
ALERT = Heard(
    "_TRANSPORT",
    "ssl://kafka:9093/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate:"
    " SSL alert number 42 (after 9ms in state APIVERSION_QUERY)",
)
PASSWORD = Heard(
    "_AUTHENTICATION",
    "sasl_ssl://kafka:9093/bootstrap: SASL authentication error: Authentication failed: Invalid username or password"
    " (after 305ms in state AUTH_REQ)",
)


def bootstrap(
    *heard: Heard, fault: Fault = Fault.NONE, kafka: Kafka = KAFKA, who: KafkaCredentials = NOBODY
) -> Trouble:
    return of_bootstrap([Finding("kafka:9093", fault, "because")], heard, kafka, who)


def test_a_refused_password_comes_before_everything() -> None:
    trouble = bootstrap(AWAY, PASSWORD)
    assert trouble == Trouble(
        Reason.KAFKA_CREDENTIALS,
        "kafka:9093 refuses us: SASL authentication error: Authentication failed: Invalid username or password;"
        " correct Secret kafka-user of kafka.secretRef; it is read again by itself",
    )


def test_a_text_does_not_change_with_each_try() -> None:
    """Or each would be a write of the shard's status."""
    later = Heard(PASSWORD.code, PASSWORD.text.replace("305ms", "298ms"))
    assert bootstrap(PASSWORD) == bootstrap(later)


@pytest.mark.parametrize("broker", ["sasl_ssl://kafka:9093/bootstrap: ", ""], ids=["at a broker", "before any broker"])
def test_a_token_that_is_not_given(broker: str) -> None:
    asked = structs.replace(
        KAFKA, sasl_mechanism="OAUTHBEARER", oauth=OAuth(token_endpoint="https://id.example.com/token")
    )
    refused = Heard(
        "_AUTHENTICATION", f'{broker}Failed to acquire SASL OAUTHBEARER token: {{"error": "invalid_client"}}'
    )
    trouble = bootstrap(refused, kafka=asked)
    assert trouble.reason is Reason.KAFKA_CREDENTIALS
    assert trouble.text == (
        f"{'kafka:9093' if broker else 'https://id.example.com/token'} refuses us: Failed to acquire SASL OAUTHBEARER"
        ' token: {"error": "invalid_client"}; check kafka.oauth.tokenEndpoint, and client-id and client-secret in'
        " Secret kafka-user"
    )


def test_a_refused_certificate() -> None:
    ends = datetime(2027, 1, 2, tzinfo=UTC)
    trouble = bootstrap(ALERT, who=KafkaCredentials(certificate="PEM", expires=ends))
    assert trouble.reason is Reason.KAFKA_TLS
    assert trouble.text.startswith("kafka:9093 refuses our certificate: bad certificate; user.crt in Secret kafka-user")
    assert trouble.text.endswith("It ends on 2027-01-02.")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.UNRESOLVED, Reason.KAFKA_BOOTSTRAP),
        (Fault.REFUSED, Reason.KAFKA_BOOTSTRAP),
        (Fault.UNANSWERED, Reason.KAFKA_BOOTSTRAP),
        (Fault.UNROUTED, Reason.KAFKA_BOOTSTRAP),
        (Fault.UNTRUSTED, Reason.KAFKA_TLS),
        (Fault.NAMED_OTHERWISE, Reason.KAFKA_TLS),
        (Fault.EXPIRED, Reason.KAFKA_TLS),
        (Fault.TLS_BROKEN, Reason.KAFKA_TLS),
        (Fault.SPEAKS_PLAIN, Reason.KAFKA_LISTENER),
        (Fault.SPEAKS_TLS, Reason.KAFKA_LISTENER),
    ],
)
def test_each_fault_says_address_cause_and_what_to_do(fault: Fault, reason: Reason) -> None:
    trouble = bootstrap(AWAY, fault=fault)
    assert trouble.reason is reason
    assert "kafka:9093" in trouble.text
    assert ": " in trouble.text or ";" in trouble.text  # cause, then what to do
    assert "check spec.kafka" not in trouble.text


def test_the_secret_of_the_authority_is_named() -> None:
    kafka = Kafka(bootstrap_servers="kafka:9093", security_protocol="SSL", ca_secret_ref=CaSecret(name="cluster-ca"))
    assert (
        "put the brokers' CA into Secret cluster-ca of kafka.caSecretRef"
        in bootstrap(fault=Fault.UNTRUSTED, kafka=kafka).text
    )


def test_an_advertised_address_is_the_brokers_to_correct() -> None:
    trouble = of_broker(2, Finding("localhost:9092", Fault.REFUSED), [], KAFKA, NOBODY)
    assert trouble == Trouble(
        Reason.KAFKA_ADVERTISED,
        "broker 2 tells clients that it is at localhost:9092, which refuses connections: correct the broker's"
        " advertised.listeners (this one is the pod itself), or start the broker",
    )


def test_what_one_broker_said_is_not_anothers_fault() -> None:
    other = Heard("_AUTHENTICATION", "sasl_ssl://kafka-9:9093/9: refused (after 1ms in state AUTH_REQ)")
    trouble = of_broker(2, Finding("kafka-2:9093", Fault.NONE), [other], KAFKA, NOBODY)
    assert trouble.reason is Reason.KAFKA_UNANSWERED
    assert "broker 2 at kafka-2:9093 takes connections and does not answer" in trouble.text


def test_what_a_new_secret_may_end_is_read_again() -> None:
    assert {Reason.KAFKA_CREDENTIALS, Reason.KAFKA_TLS, Reason.KAFKA_SECRET} <= REFUSED
    assert not REFUSED & {Reason.KAFKA_BOOTSTRAP, Reason.KAFKA_ADVERTISED, Reason.KAFKA_REPLICAS}
