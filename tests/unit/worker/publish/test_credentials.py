"""Who the worker is at Kafka: what Secrets hold, well or badly, as Strimzi and as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from ibfeed_api.feed import CaSecret, Kafka, OAuth, SecretRef
from ibfeed_api.kafka_security import KafkaCredentials
from ibfeed_worker.publish.credentials import KafkaSecretError, read_credentials
from support.authority import Authority

USER = SecretRef(name="kafka-user")
PASSWORD = {"username": b"feed", "password": b"s3cr3t"}


@cache
def authority() -> Authority:
    return Authority()


@cache
def certificate() -> tuple[bytes, bytes]:
    return authority().issue("feed")


def kafka(protocol: str = "SASL_SSL", mechanism: str | None = "PLAIN", ca: CaSecret | None = None) -> Kafka:
    oauth = OAuth(token_endpoint="https://id.example/token") if mechanism == "OAUTHBEARER" else None
    return Kafka(
        bootstrap_servers="kafka:9093",
        security_protocol=protocol,
        sasl_mechanism=mechanism,
        secret_ref=USER,
        ca_secret_ref=ca,
        oauth=oauth,
    )


def bad(of: Kafka, secret: dict[str, bytes], ca: dict[str, bytes] | None = None) -> str:
    with pytest.raises(KafkaSecretError) as caught:
        read_credentials(of, secret, ca)
    return str(caught.value)


@pytest.mark.parametrize(
    "password",
    [b"s3cr3t", b"s3cr3t\n", b"s3cr3t\r\n", b"\xef\xbb\xbfs3cr3t", "s3cr3t\r\n".encode("utf-16")],
    ids=["as it is", "echo", "Windows", "byte order mark", "PowerShell"],
)
def test_line_ends_and_byte_order_marks_are_no_password(password: bytes) -> None:
    found = read_credentials(kafka(), {"username": b"feed\n", "password": password}, None)
    assert (found.username, found.password) == ("feed", "s3cr3t")


def test_blanks_may_be_part_of_a_password() -> None:
    assert read_credentials(kafka(), PASSWORD | {"password": b" s3 cr3t "}, None).password == " s3 cr3t "


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ({"username": b"feed"}, "Secret kafka-user of kafka.secretRef has no password, or it is empty: add it"),
        (PASSWORD | {"username": b"\n"}, "has no username, or it is empty"),
        (PASSWORD | {"password": b"\xff\xfe\xfd"}, "holds bytes as password that are not text in UTF-8"),
        (PASSWORD | {"password": b"a\0b"}, "holds bytes as password that are not text"),
        (PASSWORD | {"ca.crt": b"hello"}, "holds no certificate in PEM as ca.crt: put the brokers' CA there"),
        (PASSWORD | {"ca.crt": b"\x30\x82\x01\x00"}, "holds bytes as ca.crt that are not text"),
    ],
)
def test_what_a_secret_holds_badly_is_named(secret: dict[str, bytes], says: str) -> None:
    message = bad(kafka(), secret)
    assert says in message
    assert "s3cr3t" not in message


def test_a_scram_user_as_strimzi_writes_it() -> None:
    jaas = b'org.apache.kafka.common.security.scram.ScramLoginModule required username="my-user" password="s3cr3t";'
    secret = {"password": b"s3cr3t", "sasl.jaas.config": jaas}
    found = read_credentials(kafka(mechanism="SCRAM-SHA-512"), secret, None)
    assert (found.username, found.password) == ("my-user", "s3cr3t")
    assert "names none" in bad(kafka(mechanism="SCRAM-SHA-512"), secret | {"sasl.jaas.config": b"nonsense"})


@pytest.mark.parametrize(("name", "key_name"), [("user.crt", "user.key"), ("tls.crt", "tls.key")])
def test_a_client_certificate(name: str, key_name: str) -> None:
    pem, key = certificate()
    secret = {name: pem, key_name: key, "ca.crt": authority().pem}
    found = read_credentials(kafka("SSL", None), secret, None)
    assert (found.certificate, found.key) == (pem.decode().strip(), key.decode().strip())
    assert found.authority == authority().pem.decode().strip()
    assert found.expires is not None
    assert timedelta(days=9) < found.expires - datetime.now(UTC) < timedelta(days=11)


def test_the_brokers_authority_may_be_in_another_secret() -> None:
    """In a KafkaUser's own Secret ca.crt is the authority of the clients."""
    pem, key = certificate()
    secret = {"user.crt": pem, "user.key": key, "ca.crt": Authority("clients").pem}
    where = CaSecret(name="my-cluster-cluster-ca-cert")
    found = read_credentials(kafka("SSL", None, where), secret, {"ca.crt": authority().pem})
    assert found.authority == authority().pem.decode().strip()
    assert "Secret my-cluster-cluster-ca-cert of kafka.caSecretRef has no ca.crt" in bad(
        kafka("SSL", None, where), secret, {}
    )


def _encrypted() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"user.crt": b"nonsense"}, "holds no certificate in PEM as user.crt"),
        ({"user.key": b"nonsense"}, "holds no private key in PEM as user.key"),
        ({"user.key": b""}, "has no user.key"),
        ({"user.key": _encrypted()}, "holds a user.key that wants a password"),
        ({"user.key": Authority().issue("other")[1]}, "holds a user.key that does not belong to user.crt"),
    ],
    ids=["certificate", "key", "no key", "encrypted", "another's"],
)
def test_a_bad_client_certificate_is_named(changed: dict[str, bytes], says: str) -> None:
    pem, key = certificate()
    message = bad(kafka("SSL", None), {"user.crt": pem, "user.key": key} | changed)
    assert says in message
    assert "PRIVATE" not in message


def test_oauth_has_keys_of_its_own() -> None:
    secret = {"client-id": b"feed\n", "client-secret": b"s3cr3t\n"}
    found = read_credentials(kafka(mechanism="OAUTHBEARER"), secret, None)
    assert (found.client_id, found.client_secret, found.username) == ("feed", "s3cr3t", "")
    assert "has no client-secret" in bad(kafka(mechanism="OAUTHBEARER"), {"client-id": b"feed"})


def test_a_plain_kafka_asks_for_nothing() -> None:
    of = Kafka(bootstrap_servers="kafka:9092")
    assert read_credentials(of, None, None) == KafkaCredentials()


def test_credentials_hide_themselves() -> None:
    pem, key = certificate()
    found = read_credentials(kafka(), PASSWORD | {"user.crt": pem, "user.key": key}, None)
    for text in (repr(found), str(found), f"{[found]}"):
        assert "s3cr3t" not in text and "feed" not in text and "PRIVATE" not in text
    assert found.scrub("login s3cr3t failed") == "login *** failed"
