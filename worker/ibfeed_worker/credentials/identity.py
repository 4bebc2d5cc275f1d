"""Which Azure identity the reader presents to the vault. Imported only in the reader process.

Exactly one is chosen, by what the surroundings say, and not a chain of whatever works: a chain hides why the right
one failed behind the complaints of those that never could, waits for each, and may end with an identity nobody meant.
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
    WORKLOAD = auto()  # a projected ServiceAccount token, exchanged at Entra
    MANAGED = auto()  # the node's or pod's identity, by the metadata service
    CLI = auto()  # a developer's ``az login``


@dataclass(frozen=True, slots=True)
class Identity:
    kind: Kind
    credential: TokenCredential
    described: str  # for messages: "workload identity <client id>"
    tenant: str | None
    authority: str = ""  # host that gives the tokens, where it is not on this node


class BoundedRetry(RetryPolicy[Any, Any]):
    """azure-core's retry policy, but for a Retry-After of any length, which that one sleeps through."""

    def __init__(self, longest_wait: float, **options: Any) -> None:
        super().__init__(**options)
        self._longest_wait = longest_wait

    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
        if (self.get_retry_after(response) or 0) > self._longest_wait:
            return False
        return bool(super().is_retry(settings, response))


def choose(request: VaultRequest, verify: bool | str, env: Mapping[str, str] = os.environ) -> Identity:
    """Return the identity for this vault. ``verify`` as in requests: True or a file of CAs. Raises CredentialsError.

    - ``AZURE_FEDERATED_TOKEN_FILE`` is set (by the workload identity webhook or the pod's spec): workload identity;
    - else in a cluster: managed identity, the one of ``clientId`` or the system-assigned one;
    - else (development): the account of ``az login``.
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
    """No connect or read retries here: the vault client's own policy repeats the whole request for those."""

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
