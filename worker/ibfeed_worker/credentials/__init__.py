"""Credentials of paper accounts, from a Kubernetes Secret or an Azure Key Vault.

They are read at login and kept in memory only.
"""

from __future__ import annotations

from pathlib import Path

from ibfeed_api.feed import Accounts
from ibfeed_worker.credentials.keyvault import KeyVaultSource
from ibfeed_worker.credentials.secret import (
    KubernetesSecret,
    ReadSecret,
    SecretForbiddenError,
    SecretNotFoundError,
    SecretUnreachableError,
)
from ibfeed_worker.credentials.values import Credentials, CredentialsError, CredentialSource

__all__ = [
    "CredentialSource",
    "Credentials",
    "CredentialsError",
    "ReadSecret",
    "SecretForbiddenError",
    "SecretNotFoundError",
    "SecretUnreachableError",
    "source_of",
]


def source_of(
    accounts: Accounts, *, namespace: str, read_secret: ReadSecret, extra_ca: Path | None
) -> CredentialSource:
    """Return the source that the spec names.

    Args:
        read_secret: returns the data of a Secret of ``namespace`` by name, decoded from base64. It may block, and
            raises SecretNotFoundError, SecretForbiddenError or SecretUnreachableError.
        extra_ca: file with a private CA (PEM) for the vault.
    """
    if accounts.key_vault is not None:
        return KeyVaultSource(accounts.key_vault, namespace=namespace, extra_ca=extra_ca)
    assert accounts.secret_ref is not None, "the CRD demands one source"  # noqa: S101
    return KubernetesSecret(accounts.secret_ref.name, namespace=namespace, read_secret=read_secret)
