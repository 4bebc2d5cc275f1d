"""How a reader reaches the Kafka of an IbFeed: from its spec, and the Secrets that the spec names."""

from __future__ import annotations

import atexit
import base64
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ibfeed.cluster.connection import Cluster, Object
from ibfeed.registry import SchemaRegistry
from ibfeed.stream import Topics

Values = Mapping[str, Mapping[str, str]]  # by Secret, by key
# Strimzi writes a SCRAM user's name only there.
_JAAS_USER: Final = re.compile(r'\busername="((?:[^"\\]|\\.)*)"')
_CERTIFICATES: Final = (("user.crt", "user.key"), ("tls.crt", "tls.key"))


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """The way to a feed's Kafka. ``properties`` are librdkafka's, and may hold secrets.

    ``registry``: of a feed that writes Avro.
    """

    servers: str
    topics: Topics
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    registry: SchemaRegistry | None = None


def kafka_secrets(feed: Object) -> list[str]:
    """Return the names of the Secrets that ``spec.kafka`` refers to."""
    kafka = feed["spec"]["kafka"]
    references = (
        kafka.get("secretRef"),
        kafka.get("caSecretRef"),
        (kafka.get("schemaRegistry") or {}).get("secretRef"),
    )
    return sorted({reference["name"] for reference in references if reference})


def find_kafka(cluster: Cluster, feed: Object) -> KafkaAccess:
    """Return the way to a feed's Kafka. It reads the Secrets that the feed's workers read.

    Raises:
        MissingObjectError: a Secret is not there.
        ClusterRefusedError: you may not read it; name Kafka and your own properties instead.
    """
    return kafka_access(
        feed, {name: secret_values(cluster.get("secrets", name, api="v1")) for name in kafka_secrets(feed)}
    )


def secret_values(secret: Object) -> dict[str, str]:
    """Return what a Secret holds, by key."""
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}


def kafka_access(feed: Object, secrets: Values) -> KafkaAccess:
    """Return the way to a feed's Kafka.

    Args:
        feed: the IbFeed.
        secrets: the values of ``kafka_secrets``.
    """
    kafka = feed["spec"]["kafka"]
    topics = kafka.get("topics") or {}
    names = (topics.get(field, {}).get("name") for field in ("ticklast", "l2Data", "feedEvents", "contracts"))
    usual = ("ticklast", "l2-data", "feed-events", "contracts")
    return KafkaAccess(
        kafka["bootstrapServers"],
        Topics(*(name or default for name, default in zip(names, usual, strict=True))),
        _properties(kafka, secrets),
        _registry(kafka, secrets) if kafka.get("format") == "Avro" else None,
    )


def _properties(kafka: Object, secrets: Values) -> dict[str, str]:
    mine = secrets.get((kafka.get("secretRef") or {}).get("name", ""), {})
    protocol = kafka.get("securityProtocol", "PLAINTEXT")
    found = {"security.protocol": protocol}
    if protocol.startswith("SASL"):
        found |= _sasl(kafka, mine)
    if protocol.endswith("SSL"):
        reference = kafka.get("caSecretRef") or {}
        authority = secrets.get(reference.get("name", ""), {}).get(reference.get("key", "ca.crt")) or mine.get("ca.crt")
        if authority:
            found["ssl.ca.pem"] = authority
        for certificate, key in _CERTIFICATES:
            if certificate in mine and key in mine:
                found |= {"ssl.certificate.pem": mine[certificate], "ssl.key.pem": mine[key]}
                break
    return found if len(found) > 1 or protocol != "PLAINTEXT" else {}


def _sasl(kafka: Object, mine: Mapping[str, str]) -> dict[str, str]:
    mechanism = kafka.get("saslMechanism", "PLAIN")
    oauth: dict[str, Any] = kafka.get("oauth") or {}
    if mechanism != "OAUTHBEARER":
        named = _JAAS_USER.search(mine.get("sasl.jaas.config", ""))
        user = mine.get("username") or (re.sub(r"\\(.)", r"\1", named[1]) if named else "")
        return {"sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": mine.get("password", "")}
    found = {
        "sasl.mechanism": mechanism,
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": oauth.get("tokenEndpoint", ""),
        "sasl.oauthbearer.client.id": mine.get("client-id", ""),
        "sasl.oauthbearer.client.secret": mine.get("client-secret", ""),
    }
    return found | ({"sasl.oauthbearer.scope": oauth["scope"]} if oauth.get("scope") else {})


def _registry(kafka: Object, secrets: Values) -> SchemaRegistry | None:
    registry = kafka.get("schemaRegistry")
    if not registry:
        return None
    mine = secrets.get((registry.get("secretRef") or {}).get("name", ""), {})
    authority = _as_file(mine["ca.crt"]) if mine.get("ca.crt") else ""
    return SchemaRegistry(registry["url"], mine.get("username", ""), mine.get("password", ""), authority)


def _as_file(text: str) -> str:
    """Return the name of a file with a CA, which is no secret. It goes when the process ends."""
    handle, name = tempfile.mkstemp(prefix="ibfeed-", suffix=".pem")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    atexit.register(os.unlink, name)
    return name
