"""The meaning of an exception of the Azure clients, and what to do about it. Imported only in the reader process.

Texts of the SDK are never passed on, since they may quote bodies. Only error codes, host names and the caller's public
ids are taken from them.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import requests
from azure.core.exceptions import (
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import CredentialUnavailableError
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ReadTimeoutError

from ibfeed_api.reasons import Reason
from ibfeed_worker.credentials.identity import Identity, Kind
from ibfeed_worker.credentials.request import VaultRequest
from ibfeed_worker.credentials.values import CredentialsError

ROLE: Final = "Key Vault Secrets User"

_AADSTS: Final = re.compile(r"AADSTS(\d{4,8})")
_CALLER: Final = re.compile(r"(?:appid|oid)=[0-9A-Fa-f-]{36}")
_AKV: Final = re.compile(r"AKV\d{5}")
_TENANT: Final = re.compile(r"[Tt]enant '?([0-9A-Za-z.-]{1,64})")

# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_NO_FEDERATION: Final = frozenset({"70021", "700211", "700212", "700213"})
_ENTRA_HINTS: Final = {
    "700016": "no application with this clientId is in the tenant; correct spec.accounts.keyVault.clientId or tenantId",
    "700024": "the pod's federated token is out of date; check the clocks of the nodes",
    "90002": "there is no such tenant; correct spec.accounts.keyVault.tenantId",
    "900023": "there is no such tenant; correct spec.accounts.keyVault.tenantId",
    "50027": "the pod's federated token is malformed",
}


def explain(error: Exception, request: VaultRequest, identity: Identity) -> CredentialsError:
    """Return the failure to report in place of ``error``."""
    match error:
        case CredentialUnavailableError():
            return _no_identity(error, identity)
        case ClientAuthenticationError() if _status(error) == 401 and _is_of_vault(error, request):
            return _token_refused(error, request, identity)
        case ClientAuthenticationError():
            return _entra_refused(error, request, identity)
        case DecodeError() | json.JSONDecodeError():
            return _not_a_vault(request)
        case HttpResponseError():
            return _refused(error, request, identity)
        case ServiceRequestError() | ServiceResponseError():
            return _unreachable(error, request, identity)
        case ValueError() if "challenge" in str(error):
            return _wrong_resource(request)
        case OSError() if identity.kind is Kind.WORKLOAD:
            return CredentialsError(
                Reason.VAULT_DENIED,
                f"the federated token of the pod cannot be read ({type(error).__name__}); AZURE_FEDERATED_TOKEN_FILE "
                "must name a mounted ServiceAccount token",
                retryable=True,
            )
    return unexpected(error, f"reading {request.vault.url}")


def unexpected(error: BaseException, doing: str) -> CredentialsError:
    """Return an unforeseen failure, with its type and place but not its text."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return CredentialsError(
        Reason.VAULT_UNREACHABLE, f"{type(error).__name__}{place} while {doing}; please report this", retryable=True
    )


def is_secret_not_found(error: HttpResponseError) -> bool:
    """Whether the vault itself says that there is no such secret. A proxy's 404 says only that a page is missing."""
    return _said(error).code == "SecretNotFound"


def secret_missing(name: str, request: VaultRequest, *, soft_deleted: bool) -> CredentialsError:
    if soft_deleted:
        message = (
            f"secret {name} in {request.vault.url} is deleted, but can be recovered: "
            f"az keyvault secret recover --vault-name {_vault_name(request)} --name {name}"
        )
    else:
        message = (
            f"{request.vault.url} has no secret {name}; account {request.index} needs {request.username_name} and "
            f"{request.password_name} (a deleted secret looks the same: recover it rather than creating it)"
        )
    return CredentialsError(Reason.CREDENTIALS_MISSING, message, retryable=False)


def _no_identity(error: CredentialUnavailableError, identity: Identity) -> CredentialsError:
    text = str(error)
    match identity.kind:
        case Kind.CLI if "not found" in text:
            message = "no Azure identity: this is no cluster, and the Azure CLI is not installed; run `az login`"
        case Kind.CLI if "az login" in text:
            message = "no Azure identity: the Azure CLI is not logged in; run `az login`"
        case Kind.CLI:
            return CredentialsError(
                Reason.VAULT_DENIED,
                "the Azure CLI gave no token in time; try `az account get-access-token`",
                retryable=True,
            )
        case Kind.MANAGED if "Identity not found" in text or "invalid_request" in text:
            message = (
                f"{identity.described} is not assigned to this node; assign it, correct "
                "spec.accounts.keyVault.clientId, or use workload identity (tenantId and clientId, and the label and "
                "annotation of Azure workload identity)"
            )
        case _:
            return CredentialsError(
                Reason.VAULT_DENIED,
                "no Azure identity: the pod has no federated token (AZURE_FEDERATED_TOKEN_FILE) and the metadata "
                "service of managed identities does not answer; set up Azure workload identity for the worker's "
                "ServiceAccount, or run on a node with a managed identity",
                retryable=True,
            )
    return CredentialsError(Reason.VAULT_DENIED, message, retryable=False)


def _entra_refused(error: ClientAuthenticationError, request: VaultRequest, identity: Identity) -> CredentialsError:
    text = str(error)
    status = _status(error)
    if found := _AADSTS.search(text):
        code = found[1]
        if code in _NO_FEDERATION:
            hint = (
                "its application has no federated credential for this pod; add one with the cluster's issuer, the "
                f"subject system:serviceaccount:{request.namespace}:<the worker's ServiceAccount> and the audience "
                "api://AzureADTokenExchange"
            )
        else:
            hint = _ENTRA_HINTS.get(code, f"see https://login.microsoftonline.com/error?code={code}")
        return _denied(f"Microsoft Entra refused {identity.described} (AADSTS{code}): {hint}")
    if "not configured to acquire tokens for tenant" in text:
        found = _TENANT.search(text)
        wanted = found[1].rstrip(".") if found else "unknown"
        return _denied(
            f"{request.vault.url} belongs to tenant {wanted}, but the identity to tenant "
            f"{identity.tenant}; correct spec.accounts.keyVault.tenantId"
        )
    # Without a body that says what is wrong (an outage, a proxy), the SDK drops the status.
    if "Unexpected response" in text or (status is not None and (status == 429 or status >= 500)):
        return CredentialsError(
            Reason.VAULT_UNREACHABLE,
            f"{identity.authority} gives no token to {identity.described} and no reason; it is down, or a proxy is in "
            "between",
            retryable=True,
        )
    said = f" ({status})" if status is not None else ""
    return _denied(
        f"no token for {identity.described}{said}; check it with `az account get-access-token` or in Entra's logs"
    )


def _token_refused(error: ClientAuthenticationError, request: VaultRequest, identity: Identity) -> CredentialsError:
    said = _said(error)
    code = _AKV.search(said.message)
    if code is None:
        return _not_a_vault(request)
    if code[0] == "AKV10032":
        return _denied(
            f"{request.vault.url} belongs to another tenant than {identity.described} (AKV10032); correct "
            "spec.accounts.keyVault.tenantId, or use an identity of the vault's tenant"
        )
    return _denied(f"{request.vault.url} does not accept the token of {identity.described} ({code[0]})")


def _refused(error: HttpResponseError, request: VaultRequest, identity: Identity) -> CredentialsError:
    said, status, url = _said(error), _status(error), request.vault.url
    if status == 403 and said.inner == "SecretDisabled":
        return CredentialsError(
            Reason.CREDENTIALS_MISSING,
            f"a secret of account {request.index} in {url} is disabled; enable {request.username_name} and "
            f"{request.password_name}, or set a new version",
            retryable=False,
        )
    if status == 403:
        return _forbidden(said, request, identity)
    if status == 429:
        wait = _header(error, "Retry-After")
        asked = f", and asks for {wait} s of silence" if wait.isdigit() else ""
        return CredentialsError(
            Reason.VAULT_UNREACHABLE,
            f"{url} throttles (429{asked}); too many requests go to it, of which a login makes three",
            retryable=True,
        )
    if status is not None and status >= 500:
        return CredentialsError(
            Reason.VAULT_UNREACHABLE, f"{url} answered {status} {request.limits.retries + 1} times", retryable=True
        )
    if not said.code:
        return _not_a_vault(request)
    return CredentialsError(
        Reason.VAULT_DENIED, f"{url} refused the request ({status} {said.code[:64]})", retryable=False
    )


def _forbidden(said: _Said, request: VaultRequest, identity: Identity) -> CredentialsError:
    url = request.vault.url
    caller = ", ".join(_CALLER.findall(said.message))
    who = f"{identity.described} ({caller})" if caller else identity.described
    if said.inner == "ForbiddenByFirewall":
        return _denied(f"the firewall of {url} does not let {who} in; allow the cluster's outgoing address or subnet")
    if said.inner == "ForbiddenByPolicy":
        return _denied(f"{who} may not read secrets of {url}; give it an access policy with the secret permission Get")
    return _denied(
        f'{who} may not read secrets of {url}; assign it the role "{ROLE}" on the vault (it counts some minutes later)'
    )


def _denied(message: str) -> CredentialsError:
    return CredentialsError(Reason.VAULT_DENIED, message, retryable=False)


def _not_a_vault(request: VaultRequest) -> CredentialsError:
    return CredentialsError(
        Reason.VAULT_UNREACHABLE,
        f"what answers at {request.vault.url} is no Key Vault; correct spec.accounts.keyVault.url, or look for a proxy "
        "in between",
        retryable=True,
    )


def _wrong_resource(request: VaultRequest) -> CredentialsError:
    return CredentialsError(
        Reason.VAULT_UNREACHABLE,
        f"what answers at {request.vault.url} asks for a token of another service; correct spec.accounts.keyVault.url "
        "to the vault's own URI, such as https://NAME.vault.azure.net",
        retryable=False,
    )


def _unreachable(
    error: ServiceRequestError | ServiceResponseError, request: VaultRequest, identity: Identity
) -> CredentialsError:
    chain = list(_causes(error))
    vault = urlsplit(request.vault.url).hostname or ""
    host = next((found for each in chain if (found := _host(each))), vault)
    of = {identity.authority: "of the token endpoint", vault: "of the vault"}.get(host, "of the proxy")
    if any(isinstance(each, requests.exceptions.SSLError) for each in chain):
        why = next(
            (each.verify_message for each in chain if isinstance(each, ssl.SSLCertVerificationError)), "TLS failed"
        )
        message = f"the certificate {of} {host} is not trusted ({why}); if it has a private CA, name it in spec.extraCA"
        return CredentialsError(Reason.VAULT_UNREACHABLE, message, retryable=False)
    if any(isinstance(each, NameResolutionError) for each in chain):
        message = (
            f"the name {of} {host} does not resolve; correct it in spec.accounts.keyVault, or look at the cluster's DNS"
        )
    elif any(_is_timeout(each) for each in chain):
        message = f"the host {of} {host} does not answer in time; look for a firewall or NetworkPolicy in between"
    else:
        message = f"the host {of} {host} cannot be reached; look for a firewall, proxy or NetworkPolicy in between"
    return CredentialsError(Reason.VAULT_UNREACHABLE, message, retryable=True)


def _is_timeout(error: BaseException) -> bool:
    # urllib3 reports a refused connection as a ConnectTimeoutError, too.
    timeouts = (requests.exceptions.Timeout, ConnectTimeoutError, ReadTimeoutError)
    return isinstance(error, timeouts) and not isinstance(error, NewConnectionError)


class _Said(NamedTuple):
    """The vault's error body."""

    code: str
    inner: str
    message: str  # never passed on whole


def _said(error: HttpResponseError) -> _Said:
    body: Any = None
    response: Any = error.response
    if response is not None:
        try:
            body = response.json()
        except (AttributeError, ValueError):  # not JSON, or an old-style response
            body = None
    said = body.get("error") if isinstance(body, dict) else None
    if not isinstance(said, dict):
        return _Said("", "", "")
    inner = said.get("innererror")
    return _Said(
        str(said.get("code") or ""),
        str(inner.get("code") or "") if isinstance(inner, dict) else "",
        str(said.get("message") or ""),
    )


def _status(error: HttpResponseError) -> int | None:
    return error.status_code


def _header(error: HttpResponseError, name: str) -> str:
    response: Any = error.response
    return "" if response is None else str(response.headers.get(name, ""))


def _is_of_vault(error: HttpResponseError, request: VaultRequest) -> bool:
    url = getattr(getattr(error.response, "request", None), "url", "")
    return urlsplit(url).netloc == urlsplit(request.vault.url).netloc and "/oauth2/" not in url


def _vault_name(request: VaultRequest) -> str:
    return (urlsplit(request.vault.url).hostname or "").partition(".")[0]


def _host(error: BaseException) -> str:
    """Return the host that an exception is about.

    It is in the request of an exception of requests, and in the connection or pool of one of urllib3.
    """
    url = getattr(getattr(error, "request", None), "url", None)
    if isinstance(url, str):
        return urlsplit(url).hostname or ""
    connection = getattr(error, "conn", None) or getattr(error, "pool", None)
    return str(getattr(connection, "host", "") or "")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and everything that it wraps, in any of the libraries' ways."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (getattr(each, "inner_exception", None), getattr(each, "reason", None), *each.args, each.__cause__)
        waiting.extend(found for found in inner if isinstance(found, BaseException))
