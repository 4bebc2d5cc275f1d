"""The worker's identity at Kafka, from the Secrets of ``spec.kafka``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from ibfeed_api.feed import Kafka
from ibfeed_api.kafka_security import CERTIFICATE_KEYS, OAUTHBEARER, KafkaCredentials, jaas_user
from ibfeed_worker.credentials.values import NotTextError, text_of

_LINE_ENDS: Final = "\r\n\ufeff"


class KafkaSecretError(Exception):
    """The content of a Secret cannot be used. The text names Secret and key, says what to do, and holds no secret."""


def read_credentials(
    kafka: Kafka,
    secret: Mapping[str, bytes] | None,
    authority: Mapping[str, bytes] | None,
    registry: Mapping[str, bytes] | None = None,
) -> KafkaCredentials:
    """Read the credentials from the data of the Secrets. Raises KafkaSecretError.

    Args:
        secret: the data of ``secretRef``; None if the spec names none.
        authority: the data of ``caSecretRef``; None if the spec names none.
        registry: the data of ``schemaRegistry.secretRef``; None if the spec names none.
    """
    own = _Secret(kafka.secret_ref.name if kafka.secret_ref else "", "kafka.secretRef", secret or {})
    username = password = client_id = client_secret = certificate = key = ca = ""
    if kafka.security_protocol.startswith("SASL"):
        if kafka.sasl_mechanism == OAUTHBEARER:
            client_id, client_secret = own.text("client-id"), own.text("client-secret")
        else:
            username, password = _user(own)
    expires = None
    if kafka.security_protocol.endswith("SSL"):
        if kafka.ca_secret_ref is not None:
            named = _Secret(kafka.ca_secret_ref.name, "kafka.caSecretRef", authority or {})
            ca = _authority(named, kafka.ca_secret_ref.key)
        elif "ca.crt" in own.data:
            ca = _authority(own, "ca.crt")
        certificate, key, expires = _client_certificate(own)
    found = KafkaCredentials(
        username=username,
        password=password,
        authority=ca,
        certificate=certificate,
        key=key,
        client_id=client_id,
        client_secret=client_secret,
        expires=expires,
    )
    return found if registry is None else _with_registry(found, kafka, registry)


def _with_registry(found: KafkaCredentials, kafka: Kafka, data: Mapping[str, bytes]) -> KafkaCredentials:
    reference = kafka.schema_registry.secret_ref if kafka.schema_registry is not None else None
    secret = _Secret(reference.name if reference is not None else "", "kafka.schemaRegistry.secretRef", data)
    return replace(
        found,
        registry_username=secret.text("username") if "username" in data else "",
        registry_password=secret.text("password") if "username" in data else "",
        registry_authority=_authority(secret, "ca.crt") if "ca.crt" in data else "",
    )


@dataclass(frozen=True, slots=True)
class _Secret:
    """A Secret's data, and the names for messages about it."""

    name: str
    role: str  # the field of the spec that names it
    data: Mapping[str, bytes] = field(repr=False)

    def text(self, key: str) -> str:
        if not self.data.get(key, b"").strip():
            raise self.bad(f"has no {key}, or it is empty: add it")
        try:
            return text_of(self.data[key]).strip(_LINE_ENDS)
        except NotTextError:
            raise self.bad(f"holds bytes as {key} that are not text in UTF-8: write it again") from None

    def bad(self, what: str) -> KafkaSecretError:
        return KafkaSecretError(f"Secret {self.name} of {self.role} {what}")


def _user(own: _Secret) -> tuple[str, str]:
    if "username" not in own.data and "sasl.jaas.config" in own.data:
        found = jaas_user(own.text("sasl.jaas.config"))
        if found is None:
            raise own.bad("has no username, and its sasl.jaas.config names none: add the key username")
        return found, own.text("password")
    return own.text("username"), own.text("password")


def _authority(secret: _Secret, key: str) -> str:
    pem = secret.text(key)
    if not _certificates(pem):
        raise secret.bad(f"holds no certificate in PEM as {key}: put the brokers' CA there")
    return pem


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return []


def _client_certificate(own: _Secret) -> tuple[str, str, datetime | None]:
    for name, key_name in CERTIFICATE_KEYS:
        if name not in own.data and key_name not in own.data:
            continue
        pem, key = own.text(name), own.text(key_name)
        chain = _certificates(pem)
        if not chain:
            raise own.bad(f"holds no certificate in PEM as {name}: write it again")
        try:
            private = load_pem_private_key(key.encode(), None)
        except TypeError:
            raise own.bad(f"holds a {key_name} that wants a password: write it without one") from None
        except ValueError:
            raise own.bad(f"holds no private key in PEM as {key_name}: write it again") from None
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if private.public_key().public_bytes(*form) != chain[0].public_key().public_bytes(*form):
            raise own.bad(f"holds a {key_name} that does not belong to {name}: write both again")
        return pem, key, chain[0].not_valid_after_utc.astimezone(UTC)
    return "", "", None
