"""librdkafka's properties of a consumer of the feed's Kafka, from ``spec.kafka`` and the keys of its Secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ibfeed_api.feed import DENIED_CONFIG, Kafka
from ibfeed_api.kafka_security import CERTIFICATE_KEYS, OAUTHBEARER, KafkaCredentials, jaas_user, security_properties
from ibfeed_platform.sinks.progress import SinkError

Keys = Mapping[str, bytes]  # a Secret's keys; empty: there is no such Secret
_DENIED: Final = re.compile(DENIED_CONFIG)


def consumer_config(kafka: Kafka, own: Keys, authority: Keys, trusted: str = "") -> dict[str, str]:
    """Return the properties, but for the servers and the group.

    Args:
        own: the Secret of ``kafka.secretRef``.
        authority: the Secret of ``kafka.caSecretRef``.
        trusted: CAs that may sign the token endpoint's certificate, in PEM; empty: the public ones.

    Raises SinkError if a Secret lacks what it must have. The text names Secret and key, and holds no secret.
    """
    further = {name: value for name, value in kafka.config.items() if not _DENIED.match(name)}
    return further | security_properties(kafka, _credentials(kafka, own, authority), trusted)


def _credentials(kafka: Kafka, own: Keys, authority: Keys) -> KafkaCredentials:
    found = KafkaCredentials()
    if kafka.security_protocol.startswith("SASL"):
        if kafka.sasl_mechanism == OAUTHBEARER:
            found = replace(
                found,
                client_id=_own_text(kafka, own, "client-id"),
                client_secret=_own_text(kafka, own, "client-secret"),
            )
        else:
            found = replace(found, username=_user(kafka, own), password=_own_text(kafka, own, "password"))
    return _with_tls(found, kafka, own, authority) if kafka.security_protocol.endswith("SSL") else found


def _user(kafka: Kafka, own: Keys) -> str:
    if "username" in own or "sasl.jaas.config" not in own:
        return _own_text(kafka, own, "username")
    named = jaas_user(_own_text(kafka, own, "sasl.jaas.config"))
    if named is None:
        name = kafka.secret_ref.name if kafka.secret_ref is not None else ""
        raise SinkError(f"Secret {name} names no user: add the key username, for its sasl.jaas.config has none")
    return named


def _with_tls(found: KafkaCredentials, kafka: Kafka, own: Keys, authority: Keys) -> KafkaCredentials:
    if kafka.ca_secret_ref is not None:
        found = replace(found, authority=secret_text(authority, kafka.ca_secret_ref.name, kafka.ca_secret_ref.key))
    elif "ca.crt" in own:
        found = replace(found, authority=_own_text(kafka, own, "ca.crt"))
    for certificate, key in CERTIFICATE_KEYS:
        if certificate in own or key in own:
            text = _own_text(kafka, own, certificate)
            return replace(found, certificate=text, key=_own_text(kafka, own, key))
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
