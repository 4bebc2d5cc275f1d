"""librdkafka's properties of a consumer of the feed's Kafka, from ``spec.kafka`` and the keys of its Secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ibfeed_api.feed import DENIED_CONFIG, Kafka
from ibfeed_platform.sinks.progress import SinkError

Keys = Mapping[str, bytes]  # a Secret's keys; empty: there is no such Secret
OAUTHBEARER: Final = "OAUTHBEARER"
_DENIED: Final = re.compile(DENIED_CONFIG)
# Strimzi writes a SCRAM user's name only there.
_JAAS_USER: Final = re.compile(r'\busername="((?:[^"\\]|\\.)*)"')
_CERTIFICATES: Final = (("user.crt", "user.key"), ("tls.crt", "tls.key"))


def consumer_config(kafka: Kafka, own: Keys, authority: Keys, trusted: str = "") -> dict[str, str]:
    """Return the properties, but for the servers and the group.

    Args:
        own: the Secret of ``kafka.secretRef``.
        authority: the Secret of ``kafka.caSecretRef``.
        trusted: CAs that may sign the token endpoint's certificate, in PEM; empty: the public ones.

    Raises SinkError if a Secret lacks what it must have. The text names Secret and key, and holds no secret.
    """
    found = {name: value for name, value in kafka.config.items() if not _DENIED.match(name)}
    if kafka.security_protocol != "PLAINTEXT":  # which is the library's default
        found["security.protocol"] = kafka.security_protocol
    if kafka.security_protocol.startswith("SASL"):
        found |= _sasl(kafka, own, trusted)
    if kafka.security_protocol.endswith("SSL"):
        found |= _tls(kafka, own, authority)
    return found


def _sasl(kafka: Kafka, own: Keys, trusted: str) -> dict[str, str]:
    mechanism = kafka.sasl_mechanism or "PLAIN"
    if mechanism != OAUTHBEARER or kafka.oauth is None:
        return {
            "sasl.mechanism": mechanism,
            "sasl.username": _user(kafka, own),
            "sasl.password": _own_text(kafka, own, "password"),
        }
    found = {
        "sasl.mechanism": OAUTHBEARER,
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": kafka.oauth.token_endpoint,
        "sasl.oauthbearer.client.id": _own_text(kafka, own, "client-id"),
        "sasl.oauthbearer.client.secret": _own_text(kafka, own, "client-secret"),
    }
    if kafka.oauth.scope is not None:
        found["sasl.oauthbearer.scope"] = kafka.oauth.scope
    if trusted:
        found["https.ca.pem"] = trusted
    return found


def _user(kafka: Kafka, own: Keys) -> str:
    if "username" in own or "sasl.jaas.config" not in own:
        return _own_text(kafka, own, "username")
    named = _JAAS_USER.search(_own_text(kafka, own, "sasl.jaas.config"))
    if named is None:
        name = kafka.secret_ref.name if kafka.secret_ref is not None else ""
        raise SinkError(f"Secret {name} names no user: add the key username, for its sasl.jaas.config has none")
    return re.sub(r"\\(.)", r"\1", named[1])


def _tls(kafka: Kafka, own: Keys, authority: Keys) -> dict[str, str]:
    found = {}
    if kafka.ca_secret_ref is not None:
        found["ssl.ca.pem"] = secret_text(authority, kafka.ca_secret_ref.name, kafka.ca_secret_ref.key)
    elif "ca.crt" in own:
        found["ssl.ca.pem"] = _own_text(kafka, own, "ca.crt")
    for certificate, key in _CERTIFICATES:
        if certificate in own or key in own:
            found["ssl.certificate.pem"] = _own_text(kafka, own, certificate)
            found["ssl.key.pem"] = _own_text(kafka, own, key)
            break
    return found


def _own_text(kafka: Kafka, own: Keys, key: str) -> str:
    return secret_text(own, kafka.secret_ref.name if kafka.secret_ref is not None else "", key)


def secret_text(keys: Keys, name: str, key: str) -> str:
    """Return the text of a key of the Secret ``name``. Raises SinkError if there is none."""
    if not keys:
        raise SinkError(f"Secret {name} does not exist, or is empty: create it in the sink's namespace with key {key}")
    try:
        text = keys.get(key, b"").decode().strip("\r\n\ufeff")
    except UnicodeDecodeError:
        raise SinkError(f"Secret {name} holds bytes as {key} that are not text in UTF-8: write it again") from None
    if not text.strip():
        raise SinkError(f"Secret {name} has no {key}, or it is empty: add it")
    return text
