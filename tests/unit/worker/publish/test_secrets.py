"""Reading the Secrets of ``spec.kafka``: what the API server may answer."""

from __future__ import annotations

import pytest

from ibfeed_api.feed import CaSecret, Kafka, SecretRef
from ibfeed_api.kafka_security import NOBODY
from ibfeed_worker.kube.client import ForbiddenError, KubeError, NotFoundError
from ibfeed_worker.publish import SecretsError
from ibfeed_worker.publish.secrets import KafkaSecrets, trusted_pem

KAFKA = Kafka(
    bootstrap_servers="kafka:9093",
    security_protocol="SASL_PLAINTEXT",
    sasl_mechanism="PLAIN",
    secret_ref=SecretRef(name="kafka-user"),
)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (NotFoundError("gone"), "Secret kafka-user of kafka.secretRef does not exist: create it"),
        (ForbiddenError("no"), "the worker may not read Secret kafka-user of kafka.secretRef: its Role must name it"),
        (KubeError("away"), "the Kubernetes API gave no answer about Secret kafka-user of kafka.secretRef"),
    ],
)
async def test_what_cannot_be_read_is_named(answer: Exception, says: str) -> None:
    def read(_name: str) -> dict[str, bytes]:
        raise answer

    with pytest.raises(SecretsError) as caught:
        await KafkaSecrets(KAFKA, read).read()
    assert says in str(caught.value)


async def test_bad_contents_are_a_matter_of_the_secret() -> None:
    with pytest.raises(SecretsError, match="has no password"):
        await KafkaSecrets(KAFKA, lambda _: {"username": b"feed"}).read()


async def test_each_reading_is_a_new_one() -> None:
    words = iter([b"one", b"two"])
    secrets = KafkaSecrets(KAFKA, lambda _: {"username": b"feed", "password": next(words)})
    assert [(await secrets.read()).password for _ in range(2)] == ["one", "two"]


async def test_nothing_is_read_that_the_spec_does_not_name() -> None:
    def read(name: str) -> dict[str, bytes]:
        raise AssertionError(name)

    assert await KafkaSecrets(Kafka(bootstrap_servers="kafka:9092"), read).read() == NOBODY


async def test_the_authoritys_secret_is_read_too() -> None:
    asked = []

    def read(name: str) -> dict[str, bytes]:
        asked.append(name)
        raise NotFoundError(name)

    kafka = Kafka(bootstrap_servers="kafka:9093", security_protocol="SSL", ca_secret_ref=CaSecret(name="ca"))
    with pytest.raises(SecretsError, match=r"Secret ca of kafka\.caSecretRef does not exist"):
        await KafkaSecrets(kafka, read).read()
    assert asked == ["ca"]


def test_without_a_private_ca_the_public_ones_count() -> None:
    assert trusted_pem(None) == ""
