"""The Secrets that ``spec.kafka`` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from ibfeed_api.feed import Kafka
from ibfeed_api.kafka_security import KafkaCredentials
from ibfeed_worker.kube.client import ForbiddenError, KubeError, NotFoundError
from ibfeed_worker.kube.thread import in_thread
from ibfeed_worker.publish.credentials import KafkaSecretError, read_credentials
from ibfeed_worker.publish.line import SecretsError

_LIMIT_S: Final = 5.0


class KafkaSecrets:
    """The reader of these Secrets.

    ``read_secret`` returns the data of a Secret of the feed's namespace; it blocks, and raises KubeError.
    """

    def __init__(self, kafka: Kafka, read_secret: Callable[[str], Mapping[str, bytes]]) -> None:
        self._kafka: Final = kafka
        self._read_secret: Final = read_secret

    async def read(self) -> KafkaCredentials:
        """Return the credentials that they hold now. Raises SecretsError."""
        own, authority = self._kafka.secret_ref, self._kafka.ca_secret_ref
        registry = self._kafka.schema_registry.secret_ref if self._kafka.schema_registry is not None else None
        try:
            return read_credentials(
                self._kafka,
                None if own is None else await self._held(own.name, "kafka.secretRef"),
                None if authority is None else await self._held(authority.name, "kafka.caSecretRef"),
                None if registry is None else await self._held(registry.name, "kafka.schemaRegistry.secretRef"),
            )
        except KafkaSecretError as error:
            raise SecretsError(str(error)) from None

    async def _held(self, name: str, role: str) -> Mapping[str, bytes]:
        try:
            return await in_thread(partial(self._read_secret, name), limit=_LIMIT_S, name="kafka secret")
        except NotFoundError:
            raise SecretsError(f"Secret {name} of {role} does not exist: create it") from None
        except ForbiddenError:
            raise SecretsError(
                f"the worker may not read Secret {name} of {role}: its Role must name it (the operator writes that"
                " Role: look for an admission rule that changes Roles)"
            ) from None
        except (KubeError, TimeoutError):
            raise SecretsError(f"the Kubernetes API gave no answer about Secret {name} of {role}") from None


def trusted_pem(extra: Path | None) -> str:
    """Return the public CAs and the private one, for a token endpoint; empty if there is no private one. Blocking."""
    if extra is None:
        return ""
    return Path(DEFAULT_CA_BUNDLE_PATH).read_text() + "\n" + extra.read_text()
