"""The credentials of our processes at the feed's Kafka, and librdkafka's properties that follow from them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ibfeed_api.feed import Kafka

OAUTHBEARER: Final = "OAUTHBEARER"
# A client certificate and its key, as Strimzi's KafkaUser and a Secret of type kubernetes.io/tls name them.
CERTIFICATE_KEYS: Final = (("user.crt", "user.key"), ("tls.crt", "tls.key"))
# Strimzi writes a SCRAM user's name only there.
_JAAS_USER: Final = re.compile(r'\busername="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class KafkaCredentials:
    """The credentials of a process at Kafka. A field that Kafka's security does not need is empty.

    ``expires`` is when the client certificate ends.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    authority: str = field(default="", repr=False)  # the brokers' CA in PEM; empty: the public ones
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    registry_username: str = field(default="", repr=False)
    registry_password: str = field(default="", repr=False)
    registry_authority: str = field(default="", repr=False)  # the schema registry's CA in PEM; empty: the public ones
    expires: datetime | None = None

    def scrub(self, text: str) -> str:
        """Return ``text`` without our secrets, in case a library has quoted them."""
        for secret in (self.password, self.client_secret, self.key, self.registry_password):
            if secret:
                text = text.replace(secret, "***")
        return text


NOBODY: Final = KafkaCredentials()


def jaas_user(config: str) -> str | None:
    """Return the user that a ``sasl.jaas.config`` names; None if it names none."""
    found = _JAAS_USER.search(config)
    return None if found is None else re.sub(r"\\(.)", r"\1", found[1])


def security_properties(kafka: Kafka, credentials: KafkaCredentials, trusted: str = "") -> dict[str, str]:
    """Return librdkafka's properties for the listener that ``spec.kafka`` names.

    ``trusted``: the CAs that may sign the token endpoint's certificate, in PEM; empty: the public ones.
    """
    found = {"security.protocol": kafka.security_protocol}
    if kafka.security_protocol.startswith("SASL"):
        found |= _sasl(kafka, credentials, trusted)
    if credentials.authority:
        found["ssl.ca.pem"] = credentials.authority
    if credentials.certificate:
        found["ssl.certificate.pem"] = credentials.certificate
        found["ssl.key.pem"] = credentials.key
    return found


def _sasl(kafka: Kafka, credentials: KafkaCredentials, trusted: str) -> dict[str, str]:
    if kafka.sasl_mechanism != OAUTHBEARER or kafka.oauth is None:
        return {
            "sasl.mechanism": kafka.sasl_mechanism or "PLAIN",
            "sasl.username": credentials.username,
            "sasl.password": credentials.password,
        }
    found = {
        "sasl.mechanism": OAUTHBEARER,
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": kafka.oauth.token_endpoint,
        "sasl.oauthbearer.client.id": credentials.client_id,
        "sasl.oauthbearer.client.secret": credentials.client_secret,
    }
    if kafka.oauth.scope is not None:
        found["sasl.oauthbearer.scope"] = kafka.oauth.scope
    if trusted:
        found["https.ca.pem"] = trusted
    return found
