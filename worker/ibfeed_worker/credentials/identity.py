"""The Azure identity that the reader presents to the vault. Imported only in the reader process.

Exactly one is chosen, by the surroundings, and not a chain of whatever works. A chain hides why the right identity
failed behind the complaints of those that never could, and waits for each. It may also end with an identity that was
never meant.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from azure.core.pipeline.policies import RetryPolicy
from azure.identity import (
    AzureAuthorityHosts,
    AzureCliCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from ibfeed_api.reasons import Reason
from ibfeed_worker.credentials.request import RequestLimits, VaultRequest
from ibfeed_worker.credentials.values import CredentialsError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

# The metadata service is on the node itself: it answers at once or is not there.
_METADATA_CONNECT_S: Final = 2.0
_PUBLIC_CLOUD: Final = AzureAuthorityHosts.AZURE_PUBLIC_CLOUD


class Kind(Enum):
    """The kind of an identity."""

    WORKLOAD = auto()  # a projected ServiceAccount token, exchanged at Entra
    MANAGED = auto()  # the node's or pod's identity, from the metadata service
    CLI = auto()  # a developer's ``az login``


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity that the reader presents."""

    kind: Kind
    credential: TokenCredential
    described: str  # for messages: "workload identity <client id>"
    tenant: str | None
    authority: str = ""  # host that issues the tokens, if it is not on this node


class BoundedRetry(RetryPolicy[Any, Any]):
    """azure-core's retry policy with a limit for Retry-After, which the original sleeps through at any length."""

    def __init__(self, longest_wait: float, **options: Any) -> None:
        super().__init__(**options)
        self._longest_wait = longest_wait

    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
        if (self.get_retry_after(response) or 0) > self._longest_wait:
            return False
        return bool(super().is_retry(settings, response))


def choose(request: VaultRequest, verify: bool | str, env: Mapping[str, str] = os.environ) -> Identity:
    """Return the identity for this vault. Raises CredentialsError.

    - ``AZURE_FEDERATED_TOKEN_FILE`` is set (by the workload identity webhook or the pod's spec): workload identity.
    - Else in a cluster: managed identity, the one of ``clientId`` or the system-assigned one.
    - Else (development): the account of ``az login``.

    ``verify`` is as in requests: True or a file of CAs.
    """
    vault, limits = request.vault, request.limits
    if env.get("AZURE_FEDERATED_TOKEN_FILE"):
        return _workload(request, verify, env)
    if env.get("KUBERNETES_SERVICE_HOST"):
        managed = ManagedIdentityCredential(
            client_id=vault.client_id,
            connection_timeout=min(_METADATA_CONNECT_S, limits.connect),
            read_timeout=limits.read,
            retry_total=limits.retries,
            retry_status=limits.retries,
            retry_connect=1,
            retry_read=1,
            retry_backoff_factor=limits.backoff,
            retry_backoff_max=limits.longest_wait,
        )
        described = f"managed identity {vault.client_id}" if vault.client_id else "the system-assigned managed identity"
        return Identity(Kind.MANAGED, managed, described, vault.tenant_id)
    cli = AzureCliCredential(tenant_id=vault.tenant_id or "", process_timeout=int(limits.read) or 1)
    return Identity(Kind.CLI, cli, "the account of `az login`", vault.tenant_id)


def _workload(request: VaultRequest, verify: bool | str, env: Mapping[str, str]) -> Identity:
    vault, limits = request.vault, request.limits
    tenant = vault.tenant_id or env.get("AZURE_TENANT_ID")
    client = vault.client_id or env.get("AZURE_CLIENT_ID")
    if not tenant or not client:
        lacking = " and ".join(name for name, value in (("tenantId", tenant), ("clientId", client)) if not value)
        raise CredentialsError(
            Reason.VAULT_DENIED,
            f"the pod has a federated token, but {lacking} of its identity is not known: set it in "
            "spec.accounts.keyVault, or annotate the worker's ServiceAccount for Azure workload identity",
            retryable=False,
        )
    authority = vault.authority_host or env.get("AZURE_AUTHORITY_HOST") or _PUBLIC_CLOUD
    credential = WorkloadIdentityCredential(
        tenant_id=tenant,
        client_id=client,
        token_file_path=env["AZURE_FEDERATED_TOKEN_FILE"],
        authority=authority,
        connection_verify=verify,
        connection_timeout=limits.connect,
        read_timeout=limits.read,
        retry_policy_class=_entra_retry(limits),
    )
    host = urlsplit(authority if "//" in authority else f"https://{authority}").hostname or ""
    return Identity(Kind.WORKLOAD, credential, f"workload identity {client}", tenant, host)


def _entra_retry(limits: RequestLimits) -> Any:
    """Return a retry policy without connect or read retries.

    The vault client's own policy repeats the whole request.
    """

    def build(**_options: Any) -> BoundedRetry:
        return BoundedRetry(
            limits.longest_wait,
            retry_total=limits.retries,
            retry_status=limits.retries,
            retry_connect=0,
            retry_read=0,
            retry_backoff_factor=limits.backoff,
            retry_backoff_max=limits.longest_wait,
        )

    return build
