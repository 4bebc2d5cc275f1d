"""Reads one account's two secrets with the real Azure clients. Blocking; imported only in the reader process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import KeyVaultSecret, SecretClient
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from ibfeed_api.reasons import Reason
from ibfeed_worker.credentials import failures
from ibfeed_worker.credentials.identity import BoundedRetry, Identity, choose
from ibfeed_worker.credentials.request import VaultRequest
from ibfeed_worker.credentials.values import Credentials, CredentialsError, tidy


def read_vault(request: VaultRequest, env: Mapping[str, str] = os.environ) -> Credentials:
    """Return the credentials of ``request.index``. Raises CredentialsError, and no other foreseeable error."""
    with _trusted(request.extra_ca) as verify:
        identity = choose(request, verify, env)
        try:
            return _read(request, identity, verify)
        except CredentialsError:
            raise
        except Exception as error:  # noqa: BLE001 - the SDK's exceptions have no common root; none may pass with its text
            raise failures.explain(error, request, identity) from None


def _read(request: VaultRequest, identity: Identity, verify: bool | str) -> Credentials:
    limits = request.limits
    retry = BoundedRetry(
        limits.longest_wait,
        retry_total=limits.retries,
        retry_connect=limits.retries,
        retry_read=limits.retries,
        retry_status=limits.retries,
        retry_backoff_factor=limits.backoff,
        retry_backoff_max=limits.longest_wait,
    )
    with SecretClient(
        request.vault.url,
        identity.credential,
        retry_policy=retry,
        connection_verify=verify,
        connection_timeout=limits.connect,
        read_timeout=limits.read,
    ) as client:
        username = _value(client, request.username_name, request)
        password = _value(client, request.password_name, request)
    return Credentials(username, password)


def _value(client: SecretClient, name: str, request: VaultRequest) -> str:
    try:
        secret = client.get_secret(name)
    except ResourceNotFoundError as error:
        if not failures.is_secret_not_found(error):
            raise
        raise failures.secret_missing(name, request, soft_deleted=_is_soft_deleted(client, name)) from None
    _refuse_out_of_date(secret, name, request)
    value = tidy(secret.value or "")
    if not value:
        raise CredentialsError(
            Reason.CREDENTIALS_MISSING, f"secret {name} in {request.vault.url} is empty; set its value", retryable=False
        )
    return value


def _is_soft_deleted(client: SecretClient, name: str) -> bool:
    """Whether the secret was deleted and can be recovered; False also if we may not ask.

    For a secret that never was and a deleted one the vault gives the same answer; only this call tells them apart.
    """
    try:
        client.get_deleted_secret(name)
    except HttpResponseError:
        return False
    return True


def _refuse_out_of_date(secret: KeyVaultSecret, name: str, request: VaultRequest) -> None:
    """Raise CredentialsError for a value that has expired or is not valid yet, for the vault hands these out, too.

    A wrong value costs a login, and IB grants few.
    """
    now = datetime.now(UTC)
    expires, begins = secret.properties.expires_on, secret.properties.not_before
    if expires is not None and expires <= now:
        raise CredentialsError(
            Reason.CREDENTIALS_MISSING,
            f"secret {name} in {request.vault.url} expired on {expires:%Y-%m-%d %H:%M} UTC; set a new version, or "
            "change its expiry date if the value still holds",
            retryable=False,
        )
    if begins is not None and begins > now:
        raise CredentialsError(
            Reason.CREDENTIALS_MISSING,
            f"secret {name} in {request.vault.url} is not valid before {begins:%Y-%m-%d %H:%M} UTC; change its "
            "activation date if the value already holds",
            retryable=True,
        )


@contextmanager
def _trusted(extra_ca: str | None) -> Iterator[bool | str]:
    """Yield the ``verify`` of ``requests``: its own CAs, together with the private one if there is one."""
    if extra_ca is None:
        yield True
        return
    try:
        private = Path(extra_ca).read_bytes()
    except OSError as error:
        raise CredentialsError(
            Reason.VAULT_UNREACHABLE,
            f"the private CA of spec.extraCA cannot be read ({type(error).__name__}); its ConfigMap must exist and "
            "hold the key",
            retryable=True,
        ) from None
    with tempfile.TemporaryDirectory(prefix="ibfeed-ca-") as directory:
        bundle = Path(directory) / "ca.pem"
        bundle.write_bytes(Path(DEFAULT_CA_BUNDLE_PATH).read_bytes() + b"\n" + private)
        yield str(bundle)
