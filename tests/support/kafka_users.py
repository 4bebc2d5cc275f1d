"""Secrets of ``spec.kafka`` without an API server, and rights on a Kafka with an authorizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from ibfeed_api.feed import CaSecret, Kafka, SecretRef
from ibfeed_worker.kube.client import NotFoundError
from ibfeed_worker.publish.secrets import KafkaSecrets

EVERY: Final[Any] = None  # of a filter: matches any value; the library declares such fields as text
OWN, AUTHORITY = SecretRef(name="kafka-user"), CaSecret(name="cluster-ca-cert")
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",  # every client of the plain listener
}


class Secrets:
    """The Secrets. ``held`` has their present contents by name; ``asked`` counts the readings."""

    def __init__(self, held: Mapping[str, Mapping[str, bytes]]) -> None:
        self.held = dict(held)
        self.asked = 0

    def read(self, name: str) -> Mapping[str, bytes]:
        self.asked += 1
        if name not in self.held:
            raise NotFoundError(name)
        return self.held[name]

    def of(self, kafka: Kafka) -> KafkaSecrets:
        return KafkaSecrets(kafka, self.read)


def allow(servers: str, user: str, operations: Mapping[str, tuple[AclOperation, ...]]) -> None:
    """Give ``user`` rights, listed by topic (``*``: each)."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
    bindings = [
        AclBinding(
            ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, f"User:{user}", "*", operation,
            AclPermissionType.ALLOW,
        )
        for topic, allowed in operations.items()
        for operation in allowed
    ]  # fmt: skip
    for done in admin.create_acls(bindings).values():
        done.result(15)


def forbid(servers: str, user: str) -> None:
    """Take back all rights of ``user``."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
    every = AclBindingFilter(
        ResourceType.ANY, EVERY, ResourcePatternType.ANY, f"User:{user}", EVERY, AclOperation.ANY, AclPermissionType.ANY
    )
    for done in admin.delete_acls([every]).values():
        done.result(15)


def scram_user(servers: str, user: str, password: bytes) -> None:
    """Give ``user`` this password, for both forms of SCRAM."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        info = ScramCredentialInfo(mechanism, 4096)
        for done in admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, info, password)]).values():
            done.result(15)
